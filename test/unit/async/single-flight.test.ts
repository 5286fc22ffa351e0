import { SingleFlight } from '../../../src/async/single-flight.js';

describe('SingleFlight', () => {
  test('starts once for all who ask while it runs', async () => {
    const flights = new SingleFlight<string, number>();
    let starts = 0;
    const start = async () => (starts += 1);
    const both = await Promise.all([
      flights.run('a', start),
      flights.run('a', start),
      flights.run('b', start),
    ]);
    expect(both).toEqual([1, 1, 2]);
  });

  test('starts anew after it has ended', async () => {
    const flights = new SingleFlight<string, number>();
    let starts = 0;
    const start = async () => (starts += 1);
    await flights.run('a', start);
    expect(await flights.run('a', start)).toBe(2);
  });

  test('shares a failure and does not keep it', async () => {
    const flights = new SingleFlight<string, number>();
    const fail = () => Promise.reject(new Error('no'));
    const asked = [flights.run('a', fail), flights.run('a', async () => 1)];
    expect((await Promise.allSettled(asked)).map((r) => r.status)).toEqual(['rejected', 'rejected']);
    expect(await flights.run('a', async () => 2)).toBe(2);
  });

  test('takes a start that throws for a failure', async () => {
    const flights = new SingleFlight<string, number>();
    const thrown = flights.run('a', () => {
      throw new Error('at once');
    });
    await expect(thrown).rejects.toThrow('at once');
    expect(await flights.run('a', async () => 3)).toBe(3);
  });
});
