/** What the login page says, in both languages. Chinese is the users' first language. */
import type { RepositoryPermission } from '../identity.js';

export type Language = 'zh' | 'en';

/** A sentence of what happened and one of what to do. */
interface Message {
  readonly title: string;
  readonly text: string;
  readonly hint: string;
}

export type Problem =
  | 'stale'
  | 'denied'
  | 'giteeError'
  | 'codeRefused'
  | 'noRight'
  | 'unreachable'
  | 'misconfigured'
  | 'busy'
  | 'tooMany'
  | 'forged'
  | 'shown'
  | 'broken';

export interface Texts {
  readonly otherLanguage: string;
  readonly registry: string;
  readonly signIn: {
    readonly title: string;
    readonly lead: string;
    readonly button: string;
    readonly points: readonly string[];
  };
  readonly account: {
    readonly hello: (name: string) => string;
    readonly lead: string;
    readonly signOut: string;
    readonly rightsTitle: string;
    readonly repository: string;
    readonly right: string;
    readonly rights: Readonly<Record<RepositoryPermission, string>>;
    readonly passwordTitle: string;
    readonly passwordText: string;
    readonly create: string;
    readonly createNote: string;
    readonly commandsTitle: string;
    readonly commandsText: string;
    readonly endTitle: string;
    readonly endText: string;
    readonly end: string;
  };
  readonly password: {
    readonly title: string;
    readonly once: string;
    readonly user: string;
    readonly password: string;
    readonly select: string;
    readonly useTitle: string;
    readonly useText: string;
    readonly safety: readonly string[];
    readonly back: string;
  };
  readonly ended: Message;
  readonly again: string;
  readonly problems: Readonly<Record<Problem, Message>>;
}

const ZH: Texts = {
  otherLanguage: 'English',
  registry: '容器镜像仓库',
  signIn: {
    title: '登录容器镜像仓库',
    lead: '使用 Gitee 账号登录，领取用于 docker login 的密码。您能拉取或推送哪些镜像，由您在对应 Gitee 仓库中的权限决定。',
    button: '使用 Gitee 登录',
    points: [
      'Gitee 会询问您是否允许本服务读取您的账号信息和仓库权限。',
      '您的 Gitee 密码只在 Gitee 的页面上输入，本服务看不到它。',
      '您可以随时在本页面撤销所有授权。',
    ],
  },
  account: {
    hello: (name) => `您好，${name}`,
    lead: '您已通过 Gitee 登录。此页面 30 分钟后自动退出，不影响已经登录的 Docker 客户端。',
    signOut: '退出页面',
    rightsTitle: '您的权限',
    repository: 'Gitee 仓库',
    right: '对镜像的权限',
    rights: { none: '无权限', pull: '拉取', push: '拉取、推送', admin: '拉取、推送、删除' },
    passwordTitle: '1. 生成 Docker 密码',
    passwordText: 'Docker 密码由本服务生成，代替您的 Gitee 密码或令牌，权限与您的 Gitee 账号相同。',
    create: '生成新的 Docker 密码',
    createNote: '生成后旧密码立即失效，用旧密码登录的客户端需要重新登录。',
    commandsTitle: '2. 登录客户端',
    commandsText: '在终端运行其中一条命令，提示输入密码时粘贴 Docker 密码：',
    endTitle: '撤销',
    endText: '使您的 Docker 密码失效，退出用它登录的所有客户端，并删除本服务保存的 Gitee 授权。',
    end: '全部撤销',
  },
  password: {
    title: '您的 Docker 密码',
    once: '密码只显示这一次，请现在保存。刷新或离开页面后无法再次查看，只能重新生成。',
    user: '用户名',
    password: '密码',
    select: '点击密码可全选',
    useTitle: '登录客户端',
    useText: '在终端运行其中一条命令，提示输入密码时粘贴上面的密码：',
    safety: ['不要把密码写进命令行参数、脚本或聊天消息。', '怀疑密码泄露时，回到账号页面点击“全部撤销”。'],
    back: '返回账号页面',
  },
  ended: {
    title: '已全部撤销',
    text: '您的 Docker 密码已失效，相关客户端已退出，本服务已删除保存的 Gitee 授权。',
    hint: '客户端手中尚未过期的访问令牌最多还能使用几十分钟。如需同时收回 Gitee 一侧的授权，请在 Gitee 的个人设置中移除本应用。',
  },
  again: '重新登录',
  problems: {
    stale: {
      title: '登录链接已失效',
      text: '这次登录已经完成、超过十分钟，或者是在另一个浏览器或标签页中开始的。',
      hint: '请从头开始登录。如果反复出现，请检查浏览器是否允许本站点的 Cookie。',
    },
    denied: {
      title: '您没有同意授权',
      text: 'Gitee 通知我们您取消了授权，因此没有登录，也没有保存任何内容。',
      hint: '如果是误操作，请重新登录并点击“同意授权”。',
    },
    giteeError: {
      title: 'Gitee 没有完成登录',
      text: 'Gitee 返回了一个错误，而不是授权码。',
      hint: '请重试；如果反复出现，请联系管理员检查 Gitee 上的应用设置。',
    },
    codeRefused: {
      title: 'Gitee 不再接受这次登录',
      text: '授权码已经用过或已过期。',
      hint: '请重新登录。',
    },
    noRight: {
      title: '您没有任何镜像的权限',
      text: '登录成功，但是您的 Gitee 账号对下列仓库都没有读取权限：',
      hint: '请仓库管理员在 Gitee 上把您加为成员，然后重新登录；或者退出 Gitee，换一个账号。',
    },
    unreachable: {
      title: '暂时无法连接 Gitee',
      text: '本服务现在无法向 Gitee 确认您的身份。已登录的 Docker 客户端在一段时间内仍可使用。',
      hint: '请过一分钟重试。',
    },
    misconfigured: {
      title: '登录功能设置有误',
      text: 'Gitee 拒绝了本服务自己的应用信息。',
      hint: '请管理员检查 auth.oauth.client_id、auth.oauth.client_secret 和 Gitee 上登记的回调地址。',
    },
    busy: {
      title: '服务器繁忙',
      text: '同时登录的人太多，密码没有生成。',
      hint: '请稍后重试。',
    },
    tooMany: {
      title: '尝试次数过多',
      text: '您的网络地址在短时间内请求过多。',
      hint: '请几分钟后重试。',
    },
    forged: {
      title: '请求未被执行',
      text: '这个请求不是从本页面发出的，或者页面已经过期。',
      hint: '请返回账号页面重试。',
    },
    shown: {
      title: '密码已经显示过',
      text: 'Docker 密码只显示一次，之后任何人都无法再次查看。',
      hint: '没有保存？请返回账号页面生成一个新密码。',
    },
    broken: {
      title: '出错了',
      text: '服务器内部出错，详情已写入网关日志。',
      hint: '请重试，或者把发生的时间告诉管理员。',
    },
  },
};

const EN: Texts = {
  otherLanguage: '中文',
  registry: 'Container registry',
  signIn: {
    title: 'Sign in to the container registry',
    lead: 'Sign in with your Gitee account to get a password for docker login. Your rights in the Gitee repositories decide which images you may pull or push.',
    button: 'Sign in with Gitee',
    points: [
      'Gitee will ask whether this service may read your account and your repository rights.',
      'You type your Gitee password on Gitee’s own page only; this service never sees it.',
      'You can take back all access on this page at any time.',
    ],
  },
  account: {
    hello: (name) => `Hello, ${name}`,
    lead: 'You are signed in with Gitee. This page signs you out after 30 minutes; Docker clients stay logged in.',
    signOut: 'Sign out',
    rightsTitle: 'Your rights',
    repository: 'Gitee repository',
    right: 'With its images you may',
    rights: { none: 'nothing', pull: 'pull', push: 'pull, push', admin: 'pull, push, delete' },
    passwordTitle: '1. Make a Docker password',
    passwordText:
      'This service makes it, to be used in place of your Gitee password or token. It has the rights of your Gitee account.',
    create: 'Make a new Docker password',
    createNote: 'The old one ends at once, and clients that logged in with it must log in again.',
    commandsTitle: '2. Log your client in',
    commandsText: 'Run one of these in a terminal and paste the Docker password when it asks for it:',
    endTitle: 'Take back access',
    endText:
      'Ends your Docker password, logs out every client that uses it, and deletes the Gitee access that is kept here.',
    end: 'End everything',
  },
  password: {
    title: 'Your Docker password',
    once: 'It is shown this one time: save it now. After a reload or when you leave this page it cannot be shown again, only replaced.',
    user: 'User name',
    password: 'Password',
    select: 'A click selects the whole password',
    useTitle: 'Log your client in',
    useText: 'Run one of these in a terminal and paste the password when it asks for it:',
    safety: [
      'Do not put the password into a command line, a script or a chat.',
      'If somebody else may have seen it, go back to your account and choose “End everything”.',
    ],
    back: 'Back to your account',
  },
  ended: {
    title: 'Everything has ended',
    text: 'Your Docker password no longer works, its clients are logged out, and the Gitee access kept here is deleted.',
    hint: 'A token that a client already holds works until it ends, within the hour at most by default. To end the grant at Gitee too, remove this application in your Gitee settings.',
  },
  again: 'Sign in again',
  problems: {
    stale: {
      title: 'This sign-in link no longer works',
      text: 'The sign-in was finished already, took longer than ten minutes, or began in another browser or tab.',
      hint: 'Start again from here. If it keeps happening, see whether your browser allows cookies for this site.',
    },
    denied: {
      title: 'You did not allow access',
      text: 'Gitee says that you cancelled, so you are not signed in and nothing was kept.',
      hint: 'If that was a slip, sign in again and choose to authorize.',
    },
    giteeError: {
      title: 'Gitee did not finish the sign-in',
      text: 'Gitee sent an error instead of a code.',
      hint: 'Try again; if it keeps happening, ask your administrator to look at the application on Gitee.',
    },
    codeRefused: {
      title: 'Gitee no longer accepts this sign-in',
      text: 'The code was used already or has expired.',
      hint: 'Please sign in again.',
    },
    noRight: {
      title: 'You have no right to any image',
      text: 'The sign-in worked, but your Gitee account may read none of these repositories:',
      hint: 'Ask an administrator of the repository to add you on Gitee and sign in again, or sign out at Gitee and use another account.',
    },
    unreachable: {
      title: 'Gitee cannot be reached at the moment',
      text: 'This service cannot ask Gitee who you are. Docker clients that are logged in go on working for a while.',
      hint: 'Try again in a minute.',
    },
    misconfigured: {
      title: 'The sign-in is not set up correctly',
      text: 'Gitee refuses the application data of this service.',
      hint: 'Administrator: see auth.oauth.client_id, auth.oauth.client_secret and the callback address registered on Gitee.',
    },
    busy: {
      title: 'The server is busy',
      text: 'Too many people log in at this moment; no password was made.',
      hint: 'Try again in a moment.',
    },
    tooMany: {
      title: 'Too many attempts',
      text: 'Too many requests came from your network address.',
      hint: 'Try again in a few minutes.',
    },
    forged: {
      title: 'Nothing was done',
      text: 'The request did not come from this page, or the page is too old.',
      hint: 'Go back to your account and try again.',
    },
    shown: {
      title: 'The password was shown already',
      text: 'A Docker password is shown once; after that nobody can look at it.',
      hint: 'Not saved? Go back to your account and make a new one.',
    },
    broken: {
      title: 'Something broke',
      text: 'The server failed; its log says how.',
      hint: 'Try again, or tell your administrator the time at which it happened.',
    },
  },
};

export const TEXTS: Readonly<Record<Language, Texts>> = { zh: ZH, en: EN };

/** RFC 9110 §12.5.4: the language the browser likes better; who likes neither reads English, who says nothing Chinese. */
export function languageOf(acceptLanguage: string | undefined): Language {
  if (acceptLanguage === undefined || acceptLanguage.trim() === '') return 'zh';
  const wanted = acceptLanguage
    .slice(0, 500)
    .split(',')
    .map((entry) => {
      const [tag = '', ...parameters] = entry.trim().toLowerCase().split(';');
      const q = parameters.map((p) => /^\s*q=([\d.]+)$/.exec(p)?.[1]).find((v) => v !== undefined);
      return { tag, q: q === undefined ? 1 : Number(q) };
    })
    .filter(({ q }) => q > 0)
    .sort((a, b) => b.q - a.q);
  for (const { tag } of wanted) {
    if (tag === 'zh' || tag.startsWith('zh-')) return 'zh';
    if (tag === 'en' || tag.startsWith('en-')) return 'en';
  }
  return 'en';
}
