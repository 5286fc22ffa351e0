import { RemoteError, type RemoteCause } from '../../../src/gitee/errors.js';
import { DOWN_AFTER_MS, KNOWN_FOR_MS, LineHealth, TOLD_FOR_MS } from '../../../src/line/health.js';
import { ManualClock } from '../../support/chunk-bench.js';

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const failure = (code: RemoteCause = 'unreachable') => new RemoteError(code, `what ${code} says`);

function setup() {
  const clock = new ManualClock();
  clock.stepWall(START_MS - clock.nowMs());
  const health = new LineHealth(clock);
  return {
    clock,
    health,
    wait: (ms: number) => clock.advance(ms),
  };
}

describe('LineHealth', () => {
  test('knows nothing bad at first', () => {
    const { health } = setup();
    expect(health.state).toMatchObject({ isDown: false, sinceMs: undefined, words: [] });
    expect(health.isDown('download')).toBe(false);
  });

  test('is down after failures over some seconds with nothing good between', () => {
    const { health, wait } = setup();
    health.failed('download', failure());
    wait(DOWN_AFTER_MS - 1);
    health.failed('download', failure());
    expect(health.isDown('download')).toBe(false);
    wait(1);
    health.failed('download', failure());
    expect(health.isDown('download')).toBe(true);
    expect(health.state).toMatchObject({ isDown: true, sinceMs: START_MS });
  });

  test.each(['succeeded', 'progressed'] as const)('%s ends it, and tells who listens', (sign) => {
    const { health, wait } = setup();
    let told = 0;
    const stop = health.onUp(() => (told += 1));
    health.failed('upload', failure());
    health[sign]('upload');
    expect(told).toBe(0);
    for (let round = 1; round <= 2; round += 1) {
      health.failed('upload', failure());
      wait(DOWN_AFTER_MS);
      health.failed('upload', failure());
      expect(health.isDown('upload')).toBe(true);
      health[sign]('upload');
      expect(health.isDown('upload')).toBe(false);
      expect(health.state).toMatchObject({ isDown: false, sinceMs: undefined, words: [] });
      stop();
    }
    expect(told).toBe(1);
  });

  test('is forgotten where an operator says that the cause is gone, and tells who listens', () => {
    const { health, wait } = setup();
    let told = 0;
    health.onUp(() => (told += 1));
    for (const use of ['upload', 'download'] as const) {
      health.failed(use, failure('server-fault'));
      wait(DOWN_AFTER_MS);
      health.failed(use, failure('server-fault'));
      expect(health.isDown(use)).toBe(true);
    }
    health.forget();
    expect([health.isDown('upload'), health.isDown('download'), told]).toEqual([false, false, 1]);
    expect(health.state).toMatchObject({ isDown: false, sinceMs: undefined, words: [] });
    health.failed('download', failure());
    expect(health.isDown('download')).toBe(false);
  });

  test('a refusal is an answer', () => {
    const { health, wait } = setup();
    for (const code of ['quota-full', 'unauthorized', 'rate-limited', 'chunk-missing'] as const) {
      health.failed('upload', failure());
      wait(DOWN_AFTER_MS);
      health.failed('upload', failure());
      health.failed('upload', failure(code));
      expect(health.isDown('upload')).toBe(false);
      wait(DOWN_AFTER_MS);
      health.failed('upload', failure(code));
      expect(health.isDown('upload')).toBe(false);
    }
  });

  test('one time-out is enough where nothing was heard for long, and not where others were', () => {
    const { health, wait } = setup();
    health.failed('fetch', failure('timeout'));
    expect(health.isDown('fetch')).toBe(true);
    health.succeeded('fetch');
    wait(DOWN_AFTER_MS - 1);
    health.failed('fetch', failure('timeout'));
    expect(health.isDown('fetch')).toBe(false);
  });

  test('a fault of the server in one use says nothing of the others', () => {
    const { health, wait } = setup();
    health.failed('upload', failure('server-fault'));
    wait(DOWN_AFTER_MS);
    health.failed('upload', failure('server-fault'));
    expect(health.isDown('upload')).toBe(true);
    expect(health.isDown('commit')).toBe(false);
  });

  test('errors of the server are answers: all of them together are no dead line, and are told as what they are', () => {
    const { health, wait } = setup();
    for (const use of ['download', 'batch'] as const) health.failed(use, failure('server-fault'));
    wait(DOWN_AFTER_MS);
    for (const use of ['download', 'batch'] as const) health.failed(use, failure('server-fault'));
    expect(health.state.isDown).toBe(false);
    expect(health.state.words.map((words) => words.replace(/ since.*/, ''))).toEqual([
      'downloads from LFS are answered with errors',
      'questions to LFS are answered with errors',
    ]);
    expect(health.isDown('download')).toBe(true);
    expect(health.isDown('upload')).toBe(false);
  });

  test('where errors of the server give way to silence, the line is dead from there on', () => {
    const { health, wait } = setup();
    health.failed('download', failure('server-fault'));
    wait(DOWN_AFTER_MS);
    health.failed('download', failure('server-fault'));
    wait(1000);
    health.failed('download', failure());
    // It does not know yet: a moment ago something answered.
    expect([health.state.isDown, health.isDown('upload')]).toEqual([false, false]);
    wait(DOWN_AFTER_MS);
    health.failed('download', failure());
    expect([health.state.isDown, health.isDown('upload')]).toEqual([true, true]);
    expect(health.state.words[0]).toMatch(
      /^no answer at all since 2026-01-02T03:04:09Z, 3 s ago: unreachable/,
    );
    health.failed('commit', failure('server-fault'));
    expect([health.state.isDown, health.isDown('upload'), health.isDown('download')]).toEqual([
      ...[false, false],
      true,
    ]);
    expect(health.state.words[0]).toMatch(/^downloads from LFS get no answer since/);
  });

  test('a line through which nothing comes is down for every use, until one of them is heard', () => {
    const { health, wait } = setup();
    health.succeeded('commit');
    wait(1);
    health.failed('upload', failure('unreachable'));
    wait(DOWN_AFTER_MS);
    health.failed('upload', failure('unreachable'));
    expect(health.isDown('commit')).toBe(true);
    expect(health.state.isDown).toBe(true);
    health.succeeded('commit');
    expect(health.isDown('commit')).toBe(false);
    expect(health.isDown('fetch')).toBe(false);
    expect(health.isDown('upload')).toBe(true);
    expect(health.state.isDown).toBe(false);
  });

  test('what nobody has tried for long is not known any more, and an operator is told of it for longer', () => {
    const { health, wait } = setup();
    health.failed('download', failure());
    wait(DOWN_AFTER_MS);
    health.failed('download', failure());
    wait(KNOWN_FOR_MS - 1);
    expect(health.isDown('download')).toBe(true);
    wait(1);
    expect(health.isDown('download')).toBe(false);
    expect(health.state).toMatchObject({ isDown: true, sinceMs: START_MS });
    health.failed('download', failure());
    expect(health.isDown('download')).toBe(true);
    wait(TOLD_FOR_MS);
    expect(health.state).toMatchObject({ isDown: false, words: [] });
  });

  test.each([
    ['back', -86_400_000],
    ['forward', 86_400_000],
  ])('a wall clock that is set %s by a day changes nothing but how people are told', (_name, byMs) => {
    const { clock, health, wait } = setup();
    health.succeeded('upload');
    wait(60_000);
    health.failed('upload', failure());
    clock.stepWall(byMs);
    wait(DOWN_AFTER_MS - 1);
    health.failed('upload', failure());
    expect(health.isDown('upload')).toBe(false);
    wait(1);
    health.failed('upload', failure());
    expect(health.isDown('upload')).toBe(true);
    clock.stepWall(-byMs);
    clock.stepWall(-byMs);
    expect(health.isDown('upload')).toBe(true);
    expect(health.state.words[0]).toContain('3 s ago');
    wait(KNOWN_FOR_MS);
    expect(health.isDown('upload')).toBe(false);
    health.failed('upload', failure());
    expect(health.heardMs('upload')).toBeLessThan(clock.steadyMs());
  });

  test('says in words what fails, since when, and why', () => {
    const { health, wait } = setup();
    health.failed('upload', failure('server-fault'));
    wait(10_000);
    health.failed('upload', failure('server-fault'));
    health.succeeded('commit');
    expect(health.state.words).toEqual([
      'uploads to LFS are answered with errors since 2026-01-02T03:04:05Z, 10 s ago: server-fault: what server-fault says',
    ]);
    wait(1000);
    health.failed('commit', failure('timeout'));
    wait(5000);
    health.failed('commit', failure('timeout'));
    expect(health.state.words).toEqual([
      'no answer at all since 2026-01-02T03:04:16Z, 5 s ago: timeout: what timeout says (tried: commits)',
    ]);
    expect(health.state.uses.find(({ use }) => use === 'commit')).toEqual({
      use: 'commit',
      isDown: true,
      sinceMs: START_MS + 11_000,
      failure: { code: 'timeout', message: 'what timeout says' },
      lastSuccessMs: START_MS + 10_000,
    });
  });
});
