// Labels as people write them: name=value, one a line or with commas between them.

export function readLabels(text, separator) {
  return Object.fromEntries(text.split(separator).map((pair) => pair.trim()).filter(Boolean).map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw new Error(`“${pair}” is no label; write name=value${separator === "," ? ", with commas between several" : ", one a line"}.`);
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  }));
}
