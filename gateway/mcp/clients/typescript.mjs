// Uses a gateway as a program does that is written with the official TypeScript SDK, of either
// generation.
//
//   typescript.mjs MODULES v1|v2 http URL [MODE]      or      typescript.mjs MODULES v1|v2 stdio COMMAND...
//
// MODULES is the folder that the SDKs are installed in. It makes every call of calls.json and fails if
// the gateway has a tool that is not called there.
import fs from "node:fs";
import { createRequire } from "node:module";

const [modules, generation, how, ...target] = process.argv.slice(2);
const require = createRequire(modules + "/");
const calls = JSON.parse(fs.readFileSync(new URL("calls.json", import.meta.url)));

function fail(text) {
  console.error(text);
  process.exit(1);
}

function connection() {
  if (generation === "v1") {
    const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
    return { Client, StreamableHTTPClientTransport, StdioClientTransport };
  }
  return { ...require("@modelcontextprotocol/client"), ...require("@modelcontextprotocol/client/stdio") };
}

// Holds a result against what calls.json says of it.
function check(call, result) {
  const text = result.content.filter((part) => part.type === "text").map((part) => part.text).join("\n");
  const problems = [];
  if (Boolean(result.isError) !== Boolean(call.error)) problems.push("isError");
  if (!new RegExp(call.text ?? "").test(text)) problems.push("text");
  if (call.image && !result.content.some((part) => part.mimeType === call.image)) problems.push("image");
  for (const [name, want] of Object.entries(call.structured ?? {})) {
    if (result.structuredContent?.[name] !== want) problems.push(name);
  }
  if (problems.length) fail(`${JSON.stringify(call)}: wrong ${problems}: ${JSON.stringify(result).slice(0, 2000)}`);
}

const sdk = connection();
const options = how === "http" && target.length > 1 && generation === "v2" ? { versionNegotiation: { mode: target[1] } } : {};
const client = new sdk.Client({ name: "typescript", version: "1" }, options);
const transport =
  how === "http"
    ? new sdk.StreamableHTTPClientTransport(new URL(target[0]))
    : new sdk.StdioClientTransport({ command: target[0], args: target.slice(1), env: process.env, stderr: "inherit" });
await client.connect(transport);

const call = (name, args, options) =>
  generation === "v1" ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options);

// Listing compiles every output schema, and each call holds its result against them.
const names = (await client.listTools()).tools.map((tool) => tool.name);
let extra = {};
if (names.includes("session_create")) {
  extra = { session_id: (await call("session_create", { template: "data" })).structuredContent.session_id };
}
const uncalled = names.filter((name) => !name.startsWith("session_") && !calls.some((c) => c.tool === name));
if (uncalled.length) fail(`calls.json has no call of ${uncalled}`);
for (const c of calls) check(c, await call(c.tool, { ...c.arguments, ...extra }));

const told = [];
const code = "import time\nfor i in range(5): print('step', i, flush=True); time.sleep(0.2)";
await call("python_run", { code, ...extra }, { onprogress: (progress) => told.push(progress) });
if (told.length < 2 || told.some((p, i) => !p.message.startsWith("step ") || (i && p.progress <= told[i - 1].progress))) {
  fail(`progress: ${JSON.stringify(told)}`);
}

// The client leaves, and its code with it.
const leaving = new AbortController();
setTimeout(() => leaving.abort(), 1000);
const left = await call("python_run", { code: "kept = 1\nimport time; time.sleep(600)", ...extra }, { signal: leaving.signal }).catch(() => "left");
if (left !== "left") fail("the call that was left ended");
check({ text: "^1$" }, await call("python_run", { code: "kept", ...extra }));

if (extra.session_id) check({}, await call("session_delete", extra));
if (how === "http") await transport.terminateSession?.();
await client.close();
console.log(`${names.length} tools, ${calls.length} calls, TypeScript ${generation}`);
