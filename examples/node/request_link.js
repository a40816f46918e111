// Asks for an auth link and waits for it.  npm install
//
//   KAFKA_BOOTSTRAP_SERVERS=… node request_link.js patient-0042
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const replies = process.env.REPLY_TOPIC ?? "terra.connect.replies";
const kafka = new Kafka({ brokers: process.env.KAFKA_BOOTSTRAP_SERVERS.split(","), logLevel: logLevel.NOTHING });

// A group of its own per instance: every instance sees every reply and picks out its own.
const consumer = kafka.consumer({ groupId: `example-${randomUUID()}`, maxWaitTimeInMs: 100 });
const producer = kafka.producer();
const waiting = new Map();

async function start() {
  await Promise.all([producer.connect(), consumer.connect()]);
  await consumer.subscribe({ topic: replies, fromBeginning: false });
  // Its position, the end of the topic, is known only with the first fetch.
  const ready = new Promise((resolve) => consumer.on(consumer.events.FETCH, resolve));
  await consumer.run({
    eachMessage: async ({ message }) => {
      const resolve = waiting.get(message.headers["correlation-id"]?.toString());
      if (resolve) resolve(JSON.parse(message.value.toString()));
    },
  });
  await ready;
}

async function requestLink(referenceId, wishes = {}, timeoutSeconds = 30) {
  const correlation = randomUUID();
  const reply = new Promise((resolve, reject) => {
    waiting.set(correlation, resolve);
    setTimeout(() => reject(new Error("no reply; is a worker running?")), timeoutSeconds * 1000).unref();
  });
  await producer.send({
    topic: "terra.connect.requests",
    messages: [{
      key: referenceId,
      value: JSON.stringify({ reference_id: referenceId, timeout_seconds: timeoutSeconds, ...wishes }),
      headers: { "correlation-id": correlation, "reply-to": replies },
    }],
  });
  return reply.finally(() => waiting.delete(correlation));
}

await start();
try {
  const reply = await requestLink(process.argv[2]);
  if (reply.status !== "success") throw new Error(`${reply.error.code}: ${reply.error.message}`);
  console.log(reply.link);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await Promise.all([consumer.disconnect(), producer.disconnect()]);
}
