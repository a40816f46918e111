// Parses an AsyncAPI document with the official parser, for test_schemas.py.
//   node parse_asyncapi.mjs <folder with node_modules> <asyncapi.yaml>
// Writes the diagnostics and the document with every $ref resolved, as JSON.
import { createRequire } from "node:module";

const [folder, path] = process.argv.slice(2);
const { Parser, fromFile } = createRequire(`${folder}/`)("@asyncapi/parser");
const { document, diagnostics } = await fromFile(new Parser(), path).parse();
process.stdout.write(
  JSON.stringify({
    diagnostics: diagnostics.map(({ severity, code, message, path }) => ({
      severity,
      code,
      message,
      path: path.join("/"),
    })),
    document: document ? document.json() : null,
  }),
);
