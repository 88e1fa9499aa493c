// Values of WAMP payloads as they cross the pipe: the twin of harness/values.py.

const TAG = "$value";

export function toTagged(value) {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return { [TAG]: "integer", of: value.toString() };
  if (typeof value === "number") return numberToTagged(value);
  if (typeof value !== "object") return value;
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
    return { [TAG]: "octets", of: Buffer.from(value).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(toTagged);
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  return Object.fromEntries(entries.map(([key, item]) => [key, toTagged(item)]));
}

function numberToTagged(value) {
  if (Object.is(value, -0)) return { [TAG]: "float", of: "-0.0" };
  if (!Number.isFinite(value)) return { [TAG]: "float", of: String(value).replace("Infinity", "inf") };
  return value;
}

export function fromTagged(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(fromTagged);
  if (value[TAG] === "octets") return Buffer.from(value.of, "base64");
  if (value[TAG] === "integer") return BigInt(value.of);
  if (value[TAG] === "float") return Number(value.of.replace("inf", "Infinity"));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromTagged(item)]));
}
