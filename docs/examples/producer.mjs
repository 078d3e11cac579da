// Ask videod for a clip and wait for its end: node producer.mjs SOURCE START END
// Needs no package: a Redis command is a list of strings with their lengths. Redis is that of $REDIS_URL.
import { randomUUID } from "node:crypto";
import { connect } from "node:net";

const url = new URL(process.env.REDIS_URL ?? "redis://127.0.0.1:6379/0");
const socket = connect(Number(url.port || 6379), url.hostname);
const chunks = socket[Symbol.asyncIterator]();
let rest = Buffer.alloc(0);

/** The next `size` bytes; without it the next line. CR and LF behind them are taken off. */
async function read(size) {
  for (;;) {
    const end = size ?? rest.indexOf("\r\n");
    if (end >= 0 && rest.length >= end + 2) {
      const text = rest.toString("utf8", 0, end);
      rest = rest.subarray(end + 2);
      return text;
    }
    const { value, done } = await chunks.next();
    if (done) throw new Error("Redis went away");
    rest = Buffer.concat([rest, value]);
  }
}

async function answer() {
  const line = await read();
  const [type, value] = [line[0], line.slice(1)];
  if (type === "-") throw new Error(value);
  if (type === "$") return value < 0 ? null : read(Number(value));
  if (type !== "*") return value;
  if (value < 0) return null;
  const found = [];
  for (let n = 0; n < value; n++) found.push(await answer());
  return found;
}

function redis(...words) {
  socket.write(`*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join(""));
  return answer();
}

const [source, start, end] = process.argv.slice(2);
const id = `node-${randomUUID()}`;
const message = { id, url: source, start, end, reply_to: `reply:${id}` };
await redis("SELECT", url.pathname.slice(1) || "0");
await redis("LPUSH", "video_info_queue", JSON.stringify(message));

let last;
while (!["done", "dead", "cancelled"].includes(last)) {
  const found = await redis("BRPOP", message.reply_to, "3600");
  if (!found) throw new Error(`no event of ${id} for an hour`);
  console.log(found[1]);
  last = JSON.parse(found[1]).event;
}
socket.destroy();
process.exitCode = last === "done" ? 0 : 1;
