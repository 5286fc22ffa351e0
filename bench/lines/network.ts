import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { mustRun, run } from '../../test/support/child.js';

/** Addresses are the same for every network: each has namespaces of its own. */
const CLIENT = '10.77.1.1';
/** What clients call the registry. */
export const FRONT = '10.77.1.2';
const SERVER = '10.77.2.1';
export const GITEE = '10.77.2.2';

export interface LineShape {
  /** Each way. */
  readonly mbit: number;
  /** There and back. */
  readonly roundTripMs: number;
}

type Host = 'client' | 'server' | 'wire' | 'gitee';
const HOSTS: readonly Host[] = ['client', 'server', 'wire', 'gitee'];
/** How TCP finds its pace on all hosts; unset: as this machine does. */
const CONGESTION_CONTROL = process.env['LINES_CONGESTION_CONTROL'];

/**
 * An office as network namespaces: client — server — wire — Gitee's host. Client to server is unlimited; the wire has
 * a rate each way, a length, and can be cut so that packets vanish: both ends stay up and nobody is told.
 * Needs root. One process makes it (`up`), others may use it by the same name.
 */
export class LineNetwork {
  #delay: ChildProcess | undefined;

  constructor(readonly prefix: string) {}

  namespace(host: Host): string {
    return `${this.prefix}-${host}`;
  }

  /**
   * Command and arguments that run a program on one of the hosts; not by `ip netns exec`, which mounts another /sys,
   * without the control groups that dockerd needs.
   */
  on(host: Host, command: string, args: readonly string[]): [string, string[]] {
    return ['nsenter', [`--net=/run/netns/${this.namespace(host)}`, '--', command, ...args]];
  }

  async up(shape: LineShape): Promise<void> {
    for (const host of HOSTS) {
      await mustRun('ip', ['netns', 'add', this.namespace(host)]);
      await this.#ip(host, 'link set lo up');
      if (CONGESTION_CONTROL !== undefined)
        await mustRun(
          ...this.on(host, 'sysctl', ['-qw', `net.ipv4.tcp_congestion_control=${CONGESTION_CONTROL}`]),
        );
    }
    await this.#veth('client', 'c0', 'server', 's0');
    await this.#address('client', 'c0', CLIENT);
    await this.#address('server', 's0', FRONT);
    await this.#veth('server', 's1', 'wire', 'ws');
    await this.#veth('wire', 'wg', 'gitee', 'g0');
    await this.#address('server', 's1', SERVER);
    await this.#address('gitee', 'g0', GITEE);
    // An office's router answers ARP itself: a line that is gone must not become "no route to host" after 3 s.
    await this.#neighbour('server', 's1', GITEE, await this.#mac('gitee', 'g0'));
    await this.#neighbour('gitee', 'g0', SERVER, await this.#mac('server', 's1'));
    await this.#bridge('br0', 'ws');
    if (shape.roundTripMs > 0) {
      await this.#stretch(shape.roundTripMs);
      await this.#bridge('br1', 't1');
    }
    await this.restore();
    await this.setRate(shape.mbit);
  }

  /** Changes the rate of both ways while all goes on. The buffer holds 0.2 s, as a small office's router does. */
  async setRate(mbit: number): Promise<void> {
    // A large burst would let small pushes through at once, a small one costs wake-ups. It never shrinks: tbf cuts a
    // packet to the burst when it comes in, and one that is larger than what the burst is now would never go out.
    const burstKb = mbit >= 500 ? 512 : mbit >= 50 ? 64 : 16;
    // Before its length, as at an office's router: if delay.py is late on a busy machine, nothing is lost for it.
    const isLong = (await this.#wireDevices()).includes('t0');
    for (const device of isLong ? ['t0', 't1'] : ['ws', 'wg']) {
      const burstBytes = Math.max(1024 * burstKb, await this.#burstBytes(device));
      await mustRun('tc', [
        ...['-n', this.namespace('wire'), 'qdisc', 'replace', 'dev', device, 'root', 'tbf'],
        ...['rate', `${mbit}mbit`, 'burst', `${burstBytes}b`, 'latency', '200ms'],
      ]);
    }
  }

  /** Of the rate that this device has; 0 where it has none yet. */
  async #burstBytes(device: string): Promise<number> {
    const { stdout } = await mustRun('tc', [
      '-n',
      this.namespace('wire'),
      '-j',
      'qdisc',
      'show',
      'dev',
      device,
    ]);
    const qdiscs = JSON.parse(stdout) as { kind: string; root?: boolean; options?: { burst?: number } }[];
    return qdiscs.find(({ kind }) => kind === 'tbf')?.options?.burst ?? 0;
  }

  /** From now on every packet between server and Gitee vanishes. */
  async cut(): Promise<void> {
    await this.#ip('wire', 'link set wg nomaster');
  }

  async restore(): Promise<void> {
    const bridge = (await this.#wireDevices()).includes('br1') ? 'br1' : 'br0';
    await this.#ip('wire', `link set wg master ${bridge}`);
  }

  /** Bytes that left the wire towards Gitee and towards the server, with all headers and what was sent twice. */
  async bytes(): Promise<{ toGitee: number; toServer: number }> {
    const read = async (device: string) => {
      const { stdout } = await mustRun('ip', [
        '-n',
        this.namespace('wire'),
        '-s',
        '-j',
        'link',
        'show',
        device,
      ]);
      return (JSON.parse(stdout) as { stats64: { tx: { bytes: number } } }[])[0]!.stats64.tx.bytes;
    };
    return { toGitee: await read('wg'), toServer: await read('ws') };
  }

  /** Ends what still runs in these namespaces, which nobody else uses, and removes them. */
  async down(): Promise<void> {
    this.#delay?.stdin?.end();
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      let left: number[] = [];
      for (let tries = 0; tries < 30; tries += 1) {
        left = await this.#processes();
        if (left.length === 0) break;
        if (tries === 0) for (const pid of left) end(pid, signal);
        await sleep(100);
      }
      if (left.length === 0) break;
    }
    for (const host of HOSTS) await run('ip', ['netns', 'delete', this.namespace(host)]);
  }

  async #wireDevices(): Promise<readonly string[]> {
    const { stdout } = await mustRun('ip', ['-n', this.namespace('wire'), '-br', 'link']);
    return stdout.split('\n').map((line) => /^[\w-]+/.exec(line)?.[0] ?? '');
  }

  async #processes(): Promise<number[]> {
    const pids: number[] = [];
    for (const host of HOSTS) {
      const { stdout } = await run('ip', ['netns', 'pids', this.namespace(host)]);
      pids.push(...stdout.split('\n').filter(Boolean).map(Number));
    }
    return pids.filter((pid) => pid !== process.pid);
  }

  async #stretch(roundTripMs: number): Promise<void> {
    const program = fileURLToPath(new URL('delay.py', import.meta.url));
    // Before all others on a busy machine: it stands for a wire, which has a processor of its own.
    const [command, args] = this.on('wire', 'nice', [
      ...['-n', '-15', '/usr/bin/python3', program, 't0', 't1', String(roundTripMs / 2)],
    ]);
    const delay = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#delay = delay;
    delay.once('exit', (code) => {
      if (code !== 0 && code !== null) console.error(`the wire ended with ${code}`);
    });
    await once(delay.stdout, 'data');
    await this.#ip('wire', 'link set t0 master br0');
    for (const device of ['t0', 't1']) await this.#ip('wire', `link set ${device} txqueuelen 20000 up`);
  }

  async #bridge(name: string, port: string): Promise<void> {
    await this.#ip('wire', `link add ${name} type bridge`);
    await this.#ip('wire', `link set ${port} master ${name}`);
    await this.#ip('wire', `link set ${name} up`);
  }

  async #veth(left: Host, leftDevice: string, right: Host, rightDevice: string): Promise<void> {
    const [l, r] = [this.namespace(left), this.namespace(right)];
    await mustRun(
      'ip',
      `link add ${leftDevice} netns ${l} type veth peer name ${rightDevice} netns ${r}`.split(' '),
    );
    await this.#ip(left, `link set ${leftDevice} up`);
    await this.#ip(right, `link set ${rightDevice} up`);
  }

  async #address(host: Host, device: string, address: string): Promise<void> {
    await this.#ip(host, `addr add ${address}/24 dev ${device}`);
    // What Linux does unless somebody chose otherwise, whatever this machine has.
    const network = address.replace(/\.\d+$/, '.0/24');
    await this.#ip(host, `route change ${network} dev ${device} src ${address} congctl cubic`);
  }

  async #neighbour(host: Host, device: string, address: string, mac: string): Promise<void> {
    await this.#ip(host, `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`);
  }

  async #mac(host: Host, device: string): Promise<string> {
    const { stdout } = await mustRun('ip', ['-n', this.namespace(host), '-j', 'link', 'show', device]);
    return (JSON.parse(stdout) as { address: string }[])[0]!.address;
  }

  async #ip(host: Host, command: string): Promise<void> {
    await mustRun('ip', ['-n', this.namespace(host), ...command.split(' ')]);
  }
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
