import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { until } from './child.js';
import { spawnTied } from './tied.js';
import { STOP_LIMIT_MS } from './time-limits.js';

/** What the DevTools protocol answers; its documents are https://chromedevtools.github.io/devtools-protocol/. */
type Fields = Record<string, unknown>;

interface Waiting {
  readonly resolve: (result: Fields) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One tab of a headless Chromium, driven through its DevTools protocol over a pipe: no port is opened, and no
 * driver program is needed. Scripts of a page are never run with more rights than the page has.
 */
export class Browser {
  /** Complaints of the browser: blocked styles, refused forms, errors of scripts. */
  readonly complaints: string[] = [];
  /** Every request that the tab made. */
  readonly requests: string[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #sessionId: string | undefined;

  private constructor(
    private readonly process: ChildProcess,
    private readonly input: Writable,
    output: Readable,
  ) {
    let rest = '';
    output.setEncoding('utf8');
    output.on('data', (piece: string) => {
      const messages = (rest + piece).split('\0');
      rest = messages.pop() ?? '';
      for (const message of messages) this.#take(JSON.parse(message) as Fields);
    });
    process.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser ended'));
    });
  }

  /** @param profile a directory that may be filled. */
  static async start(options: { profile: string; language: string }): Promise<Browser> {
    const child = spawnTied(
      'chromium',
      [
        ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
        ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
        ...['--no-proxy-server', '--hide-scrollbars', '--remote-debugging-pipe'],
        `--user-data-dir=${options.profile}`,
        `--accept-lang=${options.language}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    const [input, output] = [child.stdio[3] as Writable, child.stdio[4] as Readable];
    input.on('error', () => {});
    const browser = new Browser(child, input, output);
    await once(child, 'spawn');
    const { targetInfos } = (await browser.#send('Target.getTargets')) as {
      targetInfos: { type: string; targetId: string }[];
    };
    const page = targetInfos.find(({ type }) => type === 'page');
    const targetId =
      page?.targetId ?? (await browser.#send('Target.createTarget', { url: 'about:blank' }))['targetId'];
    const attached = await browser.#send('Target.attachToTarget', { targetId, flatten: true });
    browser.#sessionId = attached['sessionId'] as string;
    for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await browser.#send(`${domain}.enable`);
    return browser;
  }

  async size(width: number, height: number): Promise<void> {
    await this.#send('Emulation.setDeviceMetricsOverride', {
      ...{ width, height, deviceScaleFactor: 1, mobile: width < 600 },
    });
  }

  async darkness(dark: boolean): Promise<void> {
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await this.#send('Emulation.setEmulatedMedia', { features });
  }

  async open(url: string): Promise<void> {
    await this.#leaving(() => this.#send('Page.navigate', { url }));
  }

  async reload(): Promise<void> {
    await this.#leaving(() => this.#send('Page.reload'));
  }

  /** Clicks in the middle of the element, with the mouse, and waits for the page that comes of it. */
  async click(selector: string): Promise<void> {
    const at = (await this.evaluate(
      `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({ block: 'center' });
        const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`,
    )) as { x: number; y: number };
    await this.#leaving(async () => {
      for (const type of ['mousePressed', 'mouseReleased'])
        await this.#send('Input.dispatchMouseEvent', { type, ...at, button: 'left', clickCount: 1 });
    });
  }

  async type(selector: string, text: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.#send('Input.insertText', { text });
  }

  /** The value of an expression on the page. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#send('Runtime.evaluate', { expression, returnByValue: true });
    if (answer['exceptionDetails']) throw new Error(`${expression}: ${JSON.stringify(answer)}`);
    return (answer['result'] as Fields)['value'];
  }

  async text(selector = 'body'): Promise<string> {
    return String(await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`));
  }

  async path(): Promise<string> {
    return String(await this.evaluate('location.pathname'));
  }

  /** The whole page as a PNG, also what is below the fold. */
  async screenshot(file: string): Promise<void> {
    const { data } = await this.#send('Page.captureScreenshot', { captureBeyondViewport: true });
    await writeFile(file, Buffer.from(String(data), 'base64'));
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    // The answer may not come any more.
    void this.#send('Browser.close').catch(() => {});
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_LIMIT_MS);
    await exited;
    clearTimeout(timer);
  }

  /** Does what makes the page go away, and waits until another one is whole. */
  async #leaving(action: () => Promise<unknown>): Promise<void> {
    await this.evaluate('window.isTheOldPage = true');
    await action();
    await until('another page is loaded', async () => {
      const state = await this.evaluate('window.isTheOldPage ? "old" : document.readyState').catch(
        () => 'between two pages',
      );
      return state === 'complete';
    });
  }

  #take({ id, method, params, result, error }: Fields): void {
    if (typeof id === 'number') {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(JSON.stringify(error)));
      else waiting?.resolve(result as Fields);
    }
    if (method === 'Log.entryAdded') {
      const { level, text } = (params as { entry: { level: string; text: string } }).entry;
      if (level === 'error' || level === 'warning') this.complaints.push(text);
    }
    if (method === 'Network.requestWillBeSent')
      this.requests.push((params as { request: { url: string } }).request.url);
  }

  #send(method: string, params: Fields = {}): Promise<Fields> {
    const id = (this.#lastId += 1);
    const sessionId = method.startsWith('Target.') || method.startsWith('Browser.') ? {} : this.#session();
    this.input.write(`${JSON.stringify({ id, method, params, ...sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #session(): { sessionId?: string } {
    return this.#sessionId === undefined ? {} : { sessionId: this.#sessionId };
  }
}
