// What happens to your users' connections, as it happens.  npm install
//
//   KAFKA_BOOTSTRAP_SERVERS=… node events.js [how many, then it ends]
import { Kafka, logLevel } from "kafkajs";

const topic = process.env.AUTH_EVENTS_TOPIC ?? "terra.auth.events";
const groupId = process.env.EVENTS_GROUP ?? "example-events";
const kafka = new Kafka({ brokers: process.env.KAFKA_BOOTSTRAP_SERVERS.split(","), logLevel: logLevel.NOTHING });
// Only committed records, which is kafkajs' default too.
const consumer = kafka.consumer({ groupId, readUncommitted: false });
const wanted = Number(process.argv[2] ?? Infinity);
const done = new Set(); // A real service keeps the ce_id with what it changes, in one transaction of its database.

function handle(event) {
  const who = event.reference_id ?? event.user_id;
  switch (event.kind) {
    case "connected":
      return console.log(`${who} connected ${event.provider} (user_id ${event.user_id})`);
    case "connect_failed":
      return console.log(`${who} did not connect ${event.provider ?? "anything"}: ${event.reason}`);
    default: // kinds may be added
      return console.log(`${who}: ${event.kind}`);
  }
}

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
const finished = new Promise((resolve) => {
  consumer.run({
    eachMessage: async ({ message }) => { // the offset is committed after this has returned
      const ceId = message.headers.ce_id.toString();
      if (done.size >= wanted || done.has(ceId)) return;
      handle(JSON.parse(message.value.toString()));
      done.add(ceId);
      if (done.size >= wanted) resolve();
    },
  });
});
await finished;
await consumer.disconnect();
