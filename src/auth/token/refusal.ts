/**
 * What a client is told. Docker prints the message of an error to its user, so it says what to do, in Chinese and
 * English. Only "who are you" is a 401: with one, people would believe that their password is wrong.
 */
import type { AuthError } from '../errors.js';

export interface Refusal {
  readonly status: number;
  /** Of distribution's error documents. */
  readonly code: string;
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

/** @param publicUrl address of this service for people, without `/` at its end; undefined: not configured. */
export function refusalOf(error: AuthError, publicUrl: string | undefined): Refusal {
  const retryAfterSeconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1000));
  switch (error.code) {
    case 'refused':
      return unauthorized('登录被拒绝:用户名或密码不正确。', 'login refused.', publicUrl);
    case 'login-needed':
      return unauthorized('需要登录。', 'login needed.', publicUrl);
    case 'session-ended':
      return unauthorized(
        '登录会话已结束,请重新执行 docker login。',
        'the session has ended, run docker login again.',
        publicUrl,
      );
    case 'locked':
      return {
        status: 429,
        code: 'TOOMANYREQUESTS',
        message: `登录失败次数过多,请 ${retryAfterSeconds} 秒后再试。 / too many failed logins, try again in ${retryAfterSeconds} seconds.`,
        retryAfterSeconds,
      };
    case 'unavailable':
      return {
        status: 503,
        code: 'UNAVAILABLE',
        message:
          '暂时无法连接 Gitee 验证身份,您的密码没有问题,请稍后重试。 / Gitee cannot be reached to check the login right now; this says nothing about your password, try again later.',
        retryAfterSeconds,
      };
    case 'busy':
      return {
        status: 503,
        code: 'UNAVAILABLE',
        message:
          '登录请求过多,请稍后重试。 / too many logins at the same time; this says nothing about your password, try again later.',
        retryAfterSeconds,
      };
    case 'bad-request':
      return { status: 400, code: 'BAD_REQUEST', message: error.message };
  }
}

function unauthorized(chinese: string, english: string, publicUrl: string | undefined): Refusal {
  const page = publicUrl === undefined ? '' : `,或 ${publicUrl}/auth 上生成的 Docker 密码`;
  const or = publicUrl === undefined ? '' : `, or with the docker password from ${publicUrl}/auth`;
  return {
    status: 401,
    code: 'UNAUTHORIZED',
    message:
      `${chinese}请使用 Gitee 登录名和具有 user_info、projects 权限的私人令牌${page}。 / ` +
      `${english} Use your Gitee login and a personal token with the scopes user_info and projects${or}.`,
  };
}
