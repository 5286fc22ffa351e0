/** The steps of the login page, without a browser: test/integration/auth/browser.test.ts clicks through it. */
export interface LoginPage {
  /** Of the gateway's web listener, which is asked. */
  readonly webUrl: string;
  /** auth.public_url: addresses that Gitee sends the browser back to begin with it. */
  readonly publicUrl: string;
  readonly giteeUrl: string;
}

/** Signs in with Gitee and takes a Docker password. @throws where a step does not lead on */
export async function takeDockerPassword(page: LoginPage, login: string, password: string): Promise<string> {
  const cookies = new Map<string, string>();
  const ask = async (address: string, fields?: Record<string, string>): Promise<Response> => {
    const url = new URL(address.replace(page.publicUrl, page.webUrl), page.webUrl);
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { 'Accept-Language': 'en', Cookie: [...cookies].map(([k, v]) => `${k}=${v}`).join('; ') },
      ...(fields ? { method: 'POST', body: new URLSearchParams(fields) } : {}),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
      cookies.set(name!, value!);
    }
    return answer;
  };
  const target = async (answer: Response) => {
    const to = answer.headers.get('location');
    if (to === null) throw new Error(`${answer.url}: ${answer.status} ${await answer.text()}`);
    return to;
  };
  const find = async (answer: Response, pattern: RegExp) => {
    const text = await answer.text();
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`${answer.url}: ${answer.status} ${text}`);
    return found;
  };

  const authorizeUrl = await target(await ask('/auth/login'));
  const form = Object.fromEntries(new URL(authorizeUrl).searchParams);
  const fields = { ...form, decision: 'allow', login, password };
  await ask(await target(await ask(`${page.giteeUrl}/oauth/authorize`, fields)));
  const formToken = await find(await ask('/auth/'), /name="form_token" value="([\w-]+)"/);
  const shown = await target(await ask('/auth/password', { form_token: formToken }));
  return find(await ask(shown), /id="password">([\w-]+)</);
}
