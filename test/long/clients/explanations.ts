/** What words on a terminal mean, and what their reader does. The first that fits is taken. */
interface Explanation {
  readonly words: RegExp;
  readonly en: string;
  readonly zh: string;
}

const AGAIN = {
  en: 'push or pull again: what arrived whole is not sent again',
  zh: '重做一次:已完整到达的层不会重传',
};

const EXPLANATIONS: readonly Explanation[] = [
  {
    words: /^Retrying/,
    en: 'docker sends or reads the layer once more by itself, for about a minute: wait.',
    zh: 'docker 会自行重传该层(约一分钟内):请等待。',
  },
  {
    words: /not yet on Gitee/,
    en: `Gitee did not answer for as long as the push was held. What arrived is kept and goes there by itself; ${AGAIN.en}.`,
    zh: `等待期间 Gitee 一直没有应答。已到达的内容会保留并自动上传;${AGAIN.zh}。`,
  },
  {
    words: /quota|space/i,
    en: 'The LFS space at Gitee is full. The operator makes room (operations.md, Space); then push again.',
    zh: 'Gitee 的 LFS 空间已满。管理员腾出空间后再推送。',
  },
  {
    words: /unauthorized|auth token|authentication required/,
    en: 'The login is not valid any more: its Gitee token was revoked or has expired. `docker login` anew.',
    zh: '登录已失效(Gitee 令牌被撤销或过期)。请重新 `docker login`。',
  },
  {
    words: /denied/,
    en: 'The account may not do this, or the operator must act first: the sentence says which.',
    zh: '没有权限,或需管理员先处理:以提示文字为准。',
  },
  {
    words: /403/,
    en: 'The operator must act first, since Gitee refuses (quota, token); this client shows no more: `gitee-s3 status`.',
    zh: 'Gitee 拒绝(空间或令牌),需管理员先处理;此客户端不显示详情,请看 `gitee-s3 status`。',
  },
  {
    words: /toomanyrequests|too many requests|after \d retries/i,
    en: `Stored, not yet on Gitee, or the server takes no more at the moment; ${AGAIN.en}, in a minute.`,
    zh: `已保存但尚未到 Gitee,或服务器暂时繁忙;稍后${AGAIN.zh}。`,
  },
  {
    words: /50[234]|unavailable/i,
    en: `The registry, the gateway or Nginx was being started; ${AGAIN.en}. If it stays: \`gitee-s3 status\`.`,
    zh: `仓库、网关或 Nginx 正在启动;${AGAIN.zh}。若一直如此,请看 \`gitee-s3 status\`。`,
  },
  {
    words: /500/,
    en: `The registry could not store or read (its own words for whatever the gateway answered): ${AGAIN.en}; if it stays, \`gitee-s3 status\` says why.`,
    zh: `仓库读写失败(网关的原因不会显示在此)。${AGAIN.zh};若一直如此,\`gitee-s3 status\` 会说明原因。`,
  },
  {
    words: /upload unknown/,
    en: `The upload that the client goes on with ended with the registry that had begun it: ${AGAIN.en}.`,
    zh: `续传的上传已随之前的仓库进程结束。${AGAIN.zh}。`,
  },
  {
    words: /EOF|reset by peer|broken pipe|refused|closed/,
    en: `The connection broke, since Nginx or the registry was stopped: ${AGAIN.en}.`,
    zh: `连接中断:Nginx 或仓库被停止。${AGAIN.zh}。`,
  },
];

const OTHERWISE = {
  en: 'Not known here: troubleshooting.md, by the words.',
  zh: '未收录:请按文字查 troubleshooting.md。',
};

export function explanationOf(words: string): { readonly en: string; readonly zh: string } {
  return EXPLANATIONS.find((one) => one.words.test(words)) ?? OTHERWISE;
}
