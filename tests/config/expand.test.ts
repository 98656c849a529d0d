import { expect, test } from "bun:test";
import { expand, type Outside } from "../../src/config/expand.ts";

const outside: Outside = {
  environment: { NAME: "value", EMPTY: "", NESTED: "${NAME}", toString: undefined },
  readText: (path) => {
    if (path === "secret") return "s3cret\n";
    throw new Error("no such file");
  },
};

test("expand() fills in variables, defaults and files", () => {
  const cases: [string, string, boolean][] = [
    ["${NAME}", "value", false],
    ["a-${NAME}-${NAME}", "a-value-value", false],
    ["${MISSING:-fallback}", "fallback", false],
    ["${MISSING:-}", "", false],
    ["${EMPTY:-fallback}", "fallback", false],
    ["${EMPTY}", "", false],
    ["${NAME:-fallback}", "value", false],
    ["${file:secret}", "s3cret", true],
    ["user:${file:secret}@${NAME}", "user:s3cret@value", true],
    ["$${NAME}", "${NAME}", false],
    ["$5 and $NAME", "$5 and $NAME", false],
    ["${NESTED}", "${NAME}", false],
  ];
  for (const [text, expanded, secret] of cases) {
    expect([text, expand(text, outside)]).toEqual([text, { text: expanded, secret }]);
  }
});

test("expand() says what is wrong with an expression", () => {
  const cases: [string, string][] = [
    ["${MISSING}", "environment variable MISSING is not set; give a default: ${MISSING:-...}"],
    ["${toString}", "environment variable toString is not set; give a default: ${toString:-...}"],
    ["${constructor}", "environment variable constructor is not set; give a default: ${constructor:-...}"],
    ["${NAME", '"${NAME" is not closed by "}"'],
    ["${}", "${} is not of the form ${NAME}, ${NAME:-default} or ${file:PATH}"],
    ["${1X}", "${1X} is not of the form ${NAME}, ${NAME:-default} or ${file:PATH}"],
    ["${file:other}", "cannot read ${file:other}: no such file"],
  ];
  for (const [text, problem] of cases) expect([text, expand(text, outside)]).toEqual([text, { problem }]);
});
