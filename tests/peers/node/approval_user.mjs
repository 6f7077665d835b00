// What the clients on both TypeScript SDKs share: the user who is asked, their command line, and the lines that they print.
//
//     CLIENT [--era legacy|modern] ANSWER… -- COMMAND ARGS…
//
// For each ANSWER the tool `ask` of a matrix server is called once with the prompt `may I?`, all on one connection. It is one of
//
//     accept     with an empty `content`
//     bare       accepts without a `content`
//     decline, cancel
//     raise      the handler throws, of which the SDK makes an error response
//     none       there is no handler, and no elicitation is declared: for all calls, or for none
//
// A line of JSON is printed for each call:
//
//     {"era", "answer", "asked": [MESSAGE…], "text", "isError"}    or, if the call fails by a JSON-RPC error,
//     {"era", "answer", "asked": [MESSAGE…], "error": {"code", "message"}}
//
// `asked` has the messages that the user was shown in the course of the call.

const ANSWERS = ["accept", "bare", "decline", "cancel", "raise", "none"];
const PROMPT = "may I?";

/** The answer of a client that can't ask. */
export const NONE = "none";

const fail = (message) => {
  process.stderr.write(`${message}\nusage: CLIENT [--era legacy|modern] ANSWER… -- COMMAND ARGS…\n`);
  process.exit(2);
};

export function approvalArguments(eras) {
  const given = process.argv.slice(2);
  const at = given.indexOf("--");
  const [answers, [command, ...args]] = at < 0 ? [given, []] : [given.slice(0, at), given.slice(at + 1)];
  const era = answers[0] === "--era" ? answers.splice(0, 2)[1] : "legacy";
  if (!eras.includes(era)) fail(`this SDK does not speak \`--era ${era}\`, only ${eras.join(", ")}`);
  if (!command || answers.length === 0) fail("an answer and a command, please");
  if (!answers.every((answer) => ANSWERS.includes(answer))) fail(`answers are ${ANSWERS.join(", ")}`);
  if (answers.includes(NONE) && answers.length > 1) fail(`\`${NONE}\` stands alone`);
  return { era, answers, command, args };
}

/** Calls the tool with each answer in turn; `onElicitation` sets the handler. */
export async function ask(client, { answers, era, onElicitation }) {
  let asked = [];
  let action;
  onElicitation(async ({ params }) => {
    asked.push(params.message);
    if (action === "raise") throw new Error("the window doesn't open");
    if (action === "bare") return { action: "accept" };
    return action === "accept" ? { action, content: {} } : { action };
  });
  for (const answer of answers) {
    [asked, action] = [[], answer];
    let told;
    try {
      const { content, isError } = await client.callTool({ name: "ask", arguments: { prompt: PROMPT } });
      told = { text: content.map((block) => block.text ?? "").join(""), isError: isError === true };
    } catch (error) {
      told = { error: { code: error.code ?? null, message: error.message } };
    }
    process.stdout.write(`${JSON.stringify({ era, answer, asked, ...told })}\n`);
  }
}
