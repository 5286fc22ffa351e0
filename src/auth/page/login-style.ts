/** The style of the login page. Its hash stands in the Content-Security-Policy: no other style applies. */
import { createHash } from 'node:crypto';

export const STYLE = `
:root { color-scheme: light dark; --ink: #1f2329; --soft: #5c6470; --line: #dfe3e8; --ground: #f3f5f7;
  --card: #fff; --accent: #c71d23; --accent-ink: #fff; --code: #f3f5f7; --warn: #fff6e0; --warn-line: #e8b339; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a2aab4; --line: #3a4048; --ground: #16191d; --card: #20242a;
    --accent: #d8343a; --code: #15181c; --warn: #3a301a; --warn-line: #a67c1d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 system-ui, -apple-system,
  "Segoe UI", Roboto, "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
header, main { width: 100%; max-width: 44rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; align-items: center; gap: .6rem; padding-top: 1.25rem; padding-bottom: 1.25rem; }
header svg { flex: none; width: 1.75rem; height: 1.75rem; color: var(--accent); }
header .host { font-weight: 600; overflow-wrap: anywhere; }
header .kind { color: var(--soft); }
header .name { flex: 1; min-width: 0; display: flex; flex-wrap: wrap; column-gap: .6rem; line-height: 1.3; }
main { padding-bottom: 3rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.5rem;
  margin-bottom: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .75rem; }
h2 { font-size: 1.1rem; line-height: 1.4; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; }
section > :last-child { margin-bottom: 0; }
form + p, pre + ul { margin-top: 1rem; }
p + h2 { margin-top: 1.5rem; }
ul:last-child > :last-child { margin-bottom: 0; }
.soft { color: var(--soft); font-size: .925rem; }
ul { margin: 0 0 1rem; padding-left: 1.25rem; }
li { margin-bottom: .25rem; }
a { color: inherit; text-underline-offset: .2em; }
.button { display: inline-block; min-height: 2.75rem; padding: .55rem 1.25rem; border: 1px solid var(--accent);
  border-radius: 7px; background: var(--accent); color: var(--accent-ink); font: inherit; font-weight: 600;
  text-align: center; text-decoration: none; cursor: pointer; }
.button:hover { filter: brightness(1.08); }
.button.quiet { background: transparent; color: var(--accent); }
.button.small { min-height: 0; padding: .25rem .75rem; border-color: var(--line); background: transparent;
  color: var(--ink); font-weight: 400; font-size: .925rem; }
.button:focus-visible, a:focus-visible, code:focus-visible { outline: 3px solid #3b82f6; outline-offset: 2px; }
.row { display: flex; flex-wrap: wrap; align-items: flex-start; justify-content: space-between; gap: .5rem 1rem; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; padding-bottom: 0; }
th { color: var(--soft); font-weight: 400; font-size: .925rem; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
pre { margin: 0 0 .5rem; padding: .6rem .8rem; background: var(--code); border: 1px solid var(--line);
  border-radius: 7px; font-size: .925rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre code, .secret { -webkit-user-select: all; user-select: all; }
dl { margin: 0 0 1rem; display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1rem; align-items: baseline; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.secret { display: inline-block; padding: .35rem .7rem; background: var(--code); border: 1px solid var(--line);
  border-radius: 7px; font-size: 1.05rem; overflow-wrap: anywhere; }
.notice { background: var(--warn); border: 1px solid var(--warn-line); border-radius: 7px;
  padding: .6rem .8rem; }
@media (max-width: 30rem) {
  section { padding: 1.1rem; }
  .button:not(.small) { display: block; width: 100%; }
  dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { margin-bottom: .6rem; } }
`;

/** For every answer of the page. `style-src` by hash: an injected style would not apply. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
  Vary: 'Cookie, Accept-Language',
};
