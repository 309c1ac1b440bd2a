// A node in another language, from the .proto alone. It prints what happens as lines of JSON, until it is killed:
//
//     node node_client.js --hub HOST:PORT --node-id NAME [--tls-ca FILE] [--cert FILE --key FILE] [--token FILE]

const fs = require("fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const names = ["hub", "node-id", "tls-ca", "cert", "key", "token"];
const { values: option } = require("util").parseArgs({
  options: Object.fromEntries(names.map((name) => [name, { type: "string" }])),
});
const proto = `${__dirname}/../../protos/heartbench/mesh/v1/mesh.proto`;
const definition = loader.loadSync(proto, { keepCase: true, longs: Number, defaults: true });
const { NodeMesh } = grpc.loadPackageDefinition(definition).heartbench.mesh.v1;

const read = (name) => (option[name] ? fs.readFileSync(option[name]) : null);
const credentials = option["tls-ca"]
  ? grpc.credentials.createSsl(read("tls-ca"), read("key"), read("cert"))
  : grpc.credentials.createInsecure();
const hub = new NodeMesh(option.hub, credentials);
const print = (line) => console.log(JSON.stringify(line));
const bootId = Date.now();
let connection = 0, seq = 0, beats = 0, backoffMs = 100, upload = null;
let unacknowledged = []; // chunks, until an acknowledgement covers them

const metadata = () => {
  const made = new grpc.Metadata();
  made.set("node-id-bin", Buffer.from(option["node-id"]));
  if (option.token) made.set("authorization", `Bearer ${read("token").toString().trim()}`);
  return made;
};
const held = (upTo) => (unacknowledged = unacknowledged.filter((chunk) => chunk.seq > upTo));

function connect() {
  const stream = hub.Connect(metadata());
  let beating = null, awayMs = 0;
  stream.on("data", ({ welcome, heartbeat_ack, throttle, drain, command }) => {
    if (welcome) {
      print({ welcome });
      backoffMs = 100;
      held(welcome.last_chunk_seq);
      beating = setInterval(() => stream.write({ heartbeat: { seq: ++beats, ack: true } }), 100);
      openUpload(stream);
    }
    if (heartbeat_ack) print({ heartbeat: heartbeat_ack.seq });
    if (throttle || drain) awayMs = 1000 * (throttle?.retry_after_s ?? drain.reconnect_after_s);
    if (command) stream.write({ command_result: { command_id: command.command_id, payload: command.payload } });
  });
  stream.on("error", (error) => print({ error: error.message })); // "status" follows
  stream.on("status", () => {
    clearInterval(beating);
    upload?.cancel();
    upload = null;
    setTimeout(connect, awayMs || backoffMs * (0.8 + 0.4 * Math.random()));
    backoffMs = Math.min(2 * backoffMs, 10_000);
  });
  const hello = { node_id: option["node-id"], boot_id: bootId, connection: connection++, heartbeat_interval_s: 0.1 };
  stream.write({ hello });
}

function openUpload(stream) {
  upload = hub.Upload(metadata());
  upload.on("data", (ack) => { held(ack.seq); print({ held: ack.seq }); });
  upload.on("error", (error) => { print({ error: error.message }); stream.cancel(); }); // Welcome says where to go on
  unacknowledged.forEach((chunk) => upload.write(chunk));
}

setInterval(() => {
  const chunk = { boot_id: bootId, seq: ++seq, sent_unix_s: Date.now() / 1000, data: Buffer.from(`line ${seq}\n`) };
  unacknowledged.push(chunk);
  upload?.write(chunk);
}, 50);
connect();
