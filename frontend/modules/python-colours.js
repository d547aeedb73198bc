/** Python, coloured word by word: enough to read by, not a parser. */

const TOKENS = new RegExp(
  [
    /(?<comment>#[^\n]*)/,
    /(?<string>\b[rbfuRBFU]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))/,
    /(?<string2>"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)/,
    /(?<decorator>@[\w.]+)/,
    /(?<number>\b(?:0[xXoObB][\da-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?j?)\b)/,
    /(?<word>[^\W\d]\w*)/,
  ]
    .map((each) => each.source)
    .join("|"),
  "gu",
);
const KEYWORDS = new Set(
  (
    "False None True and as assert async await break case class continue def del elif else except finally for from " +
    "global if import in is lambda match nonlocal not or pass raise return try while with yield"
  ).split(" "),
);
const BUILTINS = new Set(
  (
    "abs all any bool bytes dict enumerate filter float input int isinstance len list map max min open ord print " +
    "range repr reversed round set sorted str sum tuple type zip"
  ).split(" "),
);

/** Every word that has a colour, in order: `{ start, stop, kind }`. */
export function* pythonWords(source) {
  for (const match of source.matchAll(TOKENS)) {
    const kind = kindOf(match.groups);
    if (kind) yield { start: match.index, stop: match.index + match[0].length, kind };
  }
}

function kindOf({ comment, string, string2, decorator, number, word }) {
  if (comment !== undefined) return "comment";
  if (string !== undefined || string2 !== undefined) return "string";
  if (decorator !== undefined) return "decorator";
  if (number !== undefined) return "number";
  if (KEYWORDS.has(word)) return "keyword";
  return BUILTINS.has(word) ? "builtin" : null;
}
