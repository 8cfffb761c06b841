// No-op jobs in BullMQ. bullmq.js push SOCKET N LIVES pushes N that come again until each had LIVES: says "ready", goes on
// at a line on stdin. bullmq.js work SOCKET WORKERS CONCURRENCY works them off.
const { Queue, Worker } = require('bullmq');
const [role, path, first, second] = process.argv.slice(2);
const connection = { path, maxRetriesPerRequest: null };
const options = { removeOnComplete: true, removeOnFail: true };
const CHUNK = 1000;

async function push() {
  const queue = new Queue('bench', { connection });
  const n = Number(first);
  const lives = Number(second);
  await queue.waitUntilReady();
  console.log('ready');
  process.stdin.once('data', async () => {
    for (let i = 0; i < n; i += CHUNK) {
      const size = Math.min(CHUNK, n - i);
      await queue.addBulk(Array.from({ length: size }, (_, k) => ({ name: 'noop', data: { id: i + k, lives }, opts: options })));
    }
    console.log('done');
  });
}

async function work() {
  const queue = new Queue('bench', { connection });
  const all = [];
  const again = async ({ data }) => {
    if (data.lives > 1) {
      await queue.add('noop', { id: data.id, lives: data.lives - 1 }, options);
    }
  };
  for (let i = 0; i < Number(first); i++) {
    all.push(new Worker('bench', again, { connection, concurrency: Number(second) }));
  }
  await Promise.all(all.map((w) => w.waitUntilReady()));
  console.log('ready');
}

(role === 'push' ? push : work)();
