import { setTimeout as delay } from 'node:timers/promises';
import { killTree } from '../../support/tied.js';
import { CLIENTS, type ClientName } from './clients.js';
import type { ClientStack } from './client-stack.js';

/** What happens in the middle of a transfer. */
export interface StackEvent {
  readonly what: string;
  readonly zh: string;
  /** Clients whose one command has to succeed. */
  readonly goesOn?: { readonly push?: readonly ClientName[]; readonly pull?: readonly ClientName[] };
  /** Before the transfers; otherwise in the middle of them. */
  readonly isFromTheStart?: boolean;
  /** Resolves when everything runs again; what stays wrong is mended by `mend`, after the clients have ended. */
  happen(stack: ClientStack): Promise<void>;
  mend?(stack: ClientStack): Promise<void>;
}

const ALL = { push: CLIENTS, pull: CLIENTS };

const gitee = (seconds: number): StackEvent => ({
  what: `Gitee away for ${seconds} s`,
  zh: `Gitee 断开 ${seconds} 秒`,
  goesOn: seconds <= 15 ? ALL : {},
  happen: async (stack) => {
    await stack.gitee.kill();
    await delay(seconds * 1000);
    await stack.gitee.restart();
  },
});

export const EVENTS: Readonly<Record<string, StackEvent>> = {
  nothing: { what: 'nothing', zh: '无', goesOn: ALL, happen: async () => {} },
  'gateway-term': {
    what: 'gateway restarted (SIGTERM)',
    zh: '网关重启(SIGTERM)',
    goesOn: { push: CLIENTS },
    happen: (stack) => stack.gateway.restart(),
  },
  'gateway-kill': {
    what: 'gateway killed (-9), started again',
    zh: '网关被强杀(-9)后启动',
    goesOn: { push: CLIENTS },
    happen: async (stack) => {
      await stack.gateway.kill();
      await stack.gateway.start();
    },
  },
  'registry-term': {
    what: 'registry restarted (SIGTERM)',
    zh: '仓库重启(SIGTERM)',
    goesOn: { push: ['docker', 'podman', 'buildah'], pull: ['docker'] },
    happen: async (stack) => {
      await stack.registry.child!.stop('SIGTERM', 40_000);
      await stack.registry.start();
    },
  },
  'registry-kill': {
    what: 'registry killed (-9), started again',
    zh: '仓库被强杀(-9)后启动',
    goesOn: { push: ['docker', 'podman', 'buildah'], pull: ['docker'] },
    happen: async (stack) => {
      await stack.registry.kill();
      await stack.registry.start();
    },
  },
  'nginx-term': {
    what: 'Nginx restarted (SIGTERM)',
    zh: 'Nginx 重启(SIGTERM)',
    goesOn: { push: ['docker'], pull: ['docker'] },
    happen: async (stack) => {
      await stack.nginx.stop();
      await stack.nginx.start();
    },
  },
  'nginx-kill': {
    what: 'Nginx killed (-9), started again',
    zh: 'Nginx 被强杀(-9)后启动',
    goesOn: { push: ['docker'], pull: ['docker'] },
    happen: async (stack) => {
      killTree(stack.nginx.child!.pid);
      await stack.nginx.child!.exited;
      await stack.nginx.start();
    },
  },
  'nginx-reload': {
    what: 'Nginx reloaded',
    zh: 'Nginx 重新加载配置',
    goesOn: ALL,
    happen: (stack) => stack.nginx.reload(),
  },
  'gitee-15': gitee(15),
  'gitee-90': gitee(90),
  'quota-full': {
    what: 'Gitee: LFS quota full',
    zh: 'Gitee 的 LFS 空间已满',
    isFromTheStart: true,
    happen: (stack) => stack.gitee.fault('lfs-quota-full'),
    mend: async (stack) => {
      await stack.gitee.clearFaults();
      await untilCommitsGoOn(stack);
    },
  },
  'gateway-token': {
    what: "the gateway's Gitee token revoked",
    zh: '网关的 Gitee 令牌被撤销',
    isFromTheStart: true,
    happen: async (stack) => void (await stack.gitee.admin('tokens', { revoke: stack.gatewayToken })),
    mend: async (stack) => {
      await stack.newGatewayToken();
      await untilCommitsGoOn(stack);
    },
  },
  'user-token': {
    what: "the user's Gitee token revoked",
    zh: '用户的 Gitee 令牌被撤销',
    happen: async (stack) => void (await stack.gitee.admin('tokens', { revoke: stack.user.token })),
    mend: (stack) => stack.newUserToken(),
  },
};

/** As an operator does it after mending: SIGHUP, and the pause is over. */
async function untilCommitsGoOn({ gateway }: ClientStack): Promise<void> {
  gateway.child!.process.kill('SIGHUP');
  const deadline = Date.now() + 120_000;
  while ((await gateway.metric('gateway_journal_pending_changes', { bucket: 'registry' })) > 0) {
    if (Date.now() > deadline) throw new Error('changes are still pending after the fault was mended');
    await delay(250);
  }
}
