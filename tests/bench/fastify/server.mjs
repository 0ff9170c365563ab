// The peer: what a careful Node developer would write. HMAC over the raw body, one JetStream publish
// per webhook, 200 after its acknowledgement.
import { createHmac, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { connect, headers } from "nats";

const [port, url, secret] = process.argv.slice(2);
const nats = await connect({ servers: url });
const stream = nats.jetstream();
const app = Fastify({ bodyLimit: 16 * 1024 * 1024, logger: false });
app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_, body, done) => done(null, body));
app.post("/webhooks", async (request, reply) => {
  const given = Buffer.from(request.headers["x-shopify-hmac-sha256"] ?? "", "base64");
  const expected = createHmac("sha256", secret).update(request.body).digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return reply.code(401).send();
  const { id } = JSON.parse(request.body);
  const h = headers();
  h.set("Nats-Msg-Id", request.headers["x-shopify-webhook-id"]);
  h.set("Topic", request.headers["x-shopify-topic"]);
  await stream.publish(`backstock.0.event.acme.product.${id}`, request.body, { headers: h });
  return reply.code(200).send();
});
await app.listen({ port: Number(port), host: "127.0.0.1" });
