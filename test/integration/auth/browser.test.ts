import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Browser } from '../../support/browser.js';
import { startLoginStack, type LoginStack } from '../../support/login-stack.js';

/** A person with a browser. Set BROWSER_SCREENSHOTS to a directory to look at what they see. */
describe('the login page in Chromium', () => {
  let stack: LoginStack;
  let browser: Browser;
  let directory: string;
  let pictures: string;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'browser-'));
    pictures = process.env['BROWSER_SCREENSHOTS'] ?? path.join(directory, 'pictures');
    await mkdir(pictures, { recursive: true });
    [stack, browser] = await Promise.all([
      startLoginStack(),
      Browser.start({ profile: path.join(directory, 'profile'), language: 'en-GB' }),
    ]);
  });

  afterAll(async () => {
    await browser.stop();
    await stack.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });

  /** On a desk and in a hand; nothing may stick out at the side. */
  const picture = async (name: string) => {
    for (const [width, height] of [
      [1280, 800],
      [390, 844],
    ] as const) {
      await browser.size(width, height);
      const file = path.join(pictures, `${name}-${width}.png`);
      await browser.screenshot(file);
      expect((await stat(file)).size).toBeGreaterThan(5_000);
      expect(await browser.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    }
  };

  test('leads from Gitee to a password that is shown once, and takes everything back', async () => {
    await browser.open(`${stack.publicUrl}/auth/`);
    expect(await browser.text('h1')).toBe('Sign in to the container registry');
    await picture('1-sign-in');

    await browser.click('#language');
    expect(await browser.text('h1')).toBe('登录容器镜像仓库');
    await picture('2-sign-in-chinese');
    await browser.click('#language');

    await browser.click('#sign-in');
    expect(await browser.path()).toBe('/oauth/authorize');
    await browser.click('button[value=deny]');
    expect(await browser.text('h1')).toBe('You did not allow access');
    await picture('3-denied');

    await browser.click('a.button');
    await browser.click('#sign-in');
    await browser.type('[name=login]', 'zhang');
    await browser.type('[name=password]', stack.passwordOf.zhang);
    await browser.click('button[value=allow]');
    expect(await browser.text('h1')).toBe('Hello, 张三');
    expect(await browser.text('table')).toMatch(/acme\/images\s+pull, push/);
    await picture('4-account');

    await browser.click('#create');
    const password = await browser.text('#password');
    expect(password).toMatch(/^\S{20,}$/);
    expect(await browser.text('pre')).toBe(`docker login -u zhang ${new URL(stack.publicUrl).host}`);
    await picture('5-password');
    await browser.darkness(true);
    await picture('6-password-dark');
    await browser.darkness(false);
    expect(await docker(password)).toBe(200);

    await browser.reload();
    expect(await browser.text('h1')).toBe('The password was shown already');
    expect(await browser.text()).not.toContain(password);
    await picture('7-shown-already');

    await browser.click('a.button');
    await browser.click('#revoke');
    expect(await browser.text('h1')).toBe('Everything has ended');
    await picture('8-ended');
    expect(await docker(password)).toBe(401);

    // The browser's own icon request is blocked by the policy, and the pages of Gitee are not ours.
    expect(browser.complaints.filter((text) => !/favicon|status of 4\d\d/.test(text))).toEqual([]);
    const origins = new Set(browser.requests.map((url) => new URL(url).origin));
    expect([...origins].sort()).toEqual([stack.publicUrl, stack.gitee.url].sort());
    expect(browser.requests.filter((url) => url.includes(stack.clientSecret))).toEqual([]);
  });

  const docker = async (password: string) => {
    const url = `${stack.publicUrl}/token?service=registry&scope=repository:team/app:pull`;
    return (await fetch(url, { headers: { Authorization: `Basic ${btoa(`zhang:${password}`)}` } })).status;
  };
});
