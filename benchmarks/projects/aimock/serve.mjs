// Serves fixtures until standard input ends; says where. With --map one fixture looks its reply up by the whole request.
import { readFileSync } from "node:fs";
import { LLMock } from "@copilotkit/aimock";

const [file, map] = process.argv.slice(2);
const fixtures = JSON.parse(readFileSync(file, "utf-8"));
// a transform, be it that of nothing, makes aimock compare messages whole: without one it looks for a part of them
const mock = new LLMock({ port: 0, logLevel: "silent", strict: true, requestTransform: (request) => request });
if (map === "--map") {
  const key = (model, message) => JSON.stringify([model, message]);
  const asked = (request) => key(request.model, request.messages[0].content);
  const replies = new Map(fixtures.map(({ match, response }) => [key(match.model, match.userMessage), response]));
  mock.addFixture({
    match: { predicate: (request) => replies.has(asked(request)) },
    response: (request) => replies.get(asked(request)),
  });
} else {
  mock.addFixtures(fixtures);
}
await mock.start();
console.log(mock.url);
process.stdin.resume().on("end", () => mock.stop());
