/** The pages, from what is known to HTML. No script, nothing from elsewhere. */
import { html, Html } from './html.js';
import { STYLE } from './login-style.js';
import { TEXTS, type Language, type Problem, type Texts } from './login-texts.js';
import type { WebSession } from './web-sessions.js';

/** Not in a template: a formatter that moves one blank would change the hash that lets it apply. */
const STYLE_ELEMENT = new Html(`<style>${STYLE}</style>`);

export interface View {
  readonly language: Language;
  /** Host (and port) of the registry, as it stands in names of images. */
  readonly registryHost: string;
}

export function signInPage(view: View): string {
  const { signIn } = TEXTS[view.language];
  return document(
    view,
    signIn.title,
    html`<section>
      <h1>${signIn.title}</h1>
      <p>${signIn.lead}</p>
      <p><a class="button" id="sign-in" href="/auth/login">${signIn.button}</a></p>
      <ul class="soft">
        ${signIn.points.map((point) => html`<li>${point}</li>`)}
      </ul>
    </section>`,
  );
}

export function accountPage(view: View, session: WebSession): string {
  const { account } = TEXTS[view.language];
  const form = (action: string, id: string, style: string, label: string) =>
    html`<form method="post" action="/auth/${action}">
      <input type="hidden" name="form_token" value="${session.formToken}" />
      <button class="button ${style}" id="${id}">${label}</button>
    </form>`;
  return document(
    view,
    account.hello(session.name),
    html`<section>
        <div class="row">
          <h1>${account.hello(session.name)}</h1>
          ${form('logout', 'sign-out', 'small', account.signOut)}
        </div>
        <p class="soft">${account.lead}</p>
        <h2>${account.rightsTitle}</h2>
        <table>
          <thead>
            <tr>
              <th>${account.repository}</th>
              <th>${account.right}</th>
            </tr>
          </thead>
          <tbody>
            ${session.rights.map(
              ({ repository, permission }) =>
                html`<tr>
                  <td>${repository}</td>
                  <td>${account.rights[permission]}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </section>
      <section>
        <h2>${account.passwordTitle}</h2>
        <p>${account.passwordText}</p>
        ${form('password', 'create', '', account.create)}
        <p class="soft">${account.createNote}</p>
      </section>
      <section>
        <h2>${account.commandsTitle}</h2>
        <p>${account.commandsText}</p>
        ${commands(view.registryHost, session.login)}
      </section>
      <section>
        <h2>${account.endTitle}</h2>
        <p>${account.endText}</p>
        ${form('revoke', 'revoke', 'quiet', account.end)}
      </section>`,
  );
}

/** The one page with a secret on it. Without the switch of languages: it cannot be shown a second time. */
export function passwordPage(view: View, session: WebSession, password: string): string {
  const texts = TEXTS[view.language].password;
  return document(
    view,
    texts.title,
    html`<section>
        <h1>${texts.title}</h1>
        <p class="notice" role="status">${texts.once}</p>
        <dl>
          <dt>${texts.user}</dt>
          <dd><code class="secret" id="user">${session.login}</code></dd>
          <dt>${texts.password}</dt>
          <dd><code class="secret" id="password">${password}</code></dd>
        </dl>
        <p class="soft">${texts.select}</p>
      </section>
      <section>
        <h2>${texts.useTitle}</h2>
        <p>${texts.useText}</p>
        ${commands(view.registryHost, session.login)}
        <ul class="soft">
          ${texts.safety.map((rule) => html`<li>${rule}</li>`)}
        </ul>
        <p><a id="back" href="/auth/">${texts.back}</a></p>
      </section>`,
    'without-switch',
  );
}

export function endedPage(view: View): string {
  const texts = TEXTS[view.language];
  return messagePage(view, texts.ended, { href: '/auth/', label: texts.again }, undefined);
}

/** @param list what the problem is about, such as names of repositories. */
export function problemPage(view: View, problem: Problem, list: readonly string[] = []): string {
  const texts = TEXTS[view.language];
  const inside = problem === 'shown' || problem === 'forged' || problem === 'busy';
  return messagePage(
    view,
    texts.problems[problem],
    { href: '/auth/', label: inside ? texts.password.back : texts.again },
    list.length === 0
      ? undefined
      : html`<ul>
          ${list.map((name) => html`<li><code>${name}</code></li>`)}
        </ul>`,
  );
}

function messagePage(
  view: View,
  message: Texts['ended'],
  link: { readonly href: string; readonly label: string },
  list: Html | undefined,
): string {
  return document(
    view,
    message.title,
    html`<section>
      <h1>${message.title}</h1>
      <p>${message.text}</p>
      ${list}
      <p>${message.hint}</p>
      <p><a class="button" href="${link.href}">${link.label}</a></p>
    </section>`,
  );
}

function commands(host: string, login: string): Html[] {
  return ['docker', 'podman', 'skopeo'].map(
    (program) =>
      new Html(`<pre>${html`<code>${program} login -u ${quoted(login)} ${host}</code>`.text}</pre>`),
  );
}

/** As a POSIX shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w.@+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function document(view: View, title: string, body: Html, kind: 'plain' | 'without-switch' = 'plain'): string {
  const texts = TEXTS[view.language];
  const [lang, other, otherLang] = view.language === 'zh' ? ['zh-CN', 'en', 'en'] : ['en', 'zh', 'zh-CN'];
  const languages = html`<a
    href="/auth/?lang=${other}"
    lang="${otherLang}"
    hreflang="${otherLang}"
    id="language"
    >${texts.otherLanguage}</a
  >`;
  return html`<!doctype html>
    <html lang="${lang}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title} · ${view.registryHost}</title>
        ${STYLE_ELEMENT}
      </head>
      <body>
        <header>
          <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true">
            <path d="M12 2.5 21 7v10l-9 4.5L3 17V7z M3 7l9 4.5L21 7 M12 11.5v10" stroke-linejoin="round" />
          </svg>
          <div class="name">
            <span class="host">${view.registryHost}</span><span class="kind">${texts.registry}</span>
          </div>
          ${kind === 'plain' ? languages : undefined}
        </header>
        <main>${body}</main>
      </body>
    </html>`.text;
}
