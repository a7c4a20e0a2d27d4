/** URIs by the grammar of RFC 3986: its URI-reference (4.1) and absolute-URI (4.3). */

/** Appendix B, with the scheme's own grammar. The pattern takes any text apart. */
const PARTS = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;

const CHARACTER = "[A-Za-z0-9\\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2}";
const all = (more: string): RegExp => new RegExp(`^(?:${CHARACTER}|[${more}])*$`);
const PATH = all(":@/");
const QUERY = all(":@/?");
const USER = all(":");
const NAME = new RegExp(`^(?:${CHARACTER})*$`);
const FUTURE = /^v[0-9a-f]+\.[a-z0-9\-._~!$&'()*+,;=:]+$/i;
const FOUR = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

export function isUriReference(text: string): boolean {
  const [, scheme, authority, path = "", query = "", fragment = ""] = PARTS.exec(text) ?? [];
  if (!PATH.test(path) || !QUERY.test(query) || !QUERY.test(fragment)) return false;
  if (authority !== undefined) return isAuthority(authority);
  // Without a scheme, a colon in the first segment would end a text that is no scheme.
  return scheme !== undefined || !path.split("/", 1)[0]!.includes(":");
}

/** Returns true for a URI with a scheme and without a fragment. */
export const isAbsoluteUri = (text: string): boolean =>
  /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) && !text.includes("#") && isUriReference(text);

function isAuthority(authority: string): boolean {
  const at = authority.lastIndexOf("@");
  if (at >= 0 && !USER.test(authority.slice(0, at))) return false;
  const [, host = "", port = ""] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(authority.slice(at + 1))!;
  if (!/^\d*$/.test(port)) return false;
  return host.startsWith("[") ? isAddress(host.slice(1, -1)) : NAME.test(host);
}

/** Checks an address in brackets: an IPv6 address, or one of a future kind. */
function isAddress(text: string): boolean {
  if (FUTURE.test(text)) return true;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  // An IPv4 address may stand for the last two groups.
  const last = text.endsWith("::") ? "" : (groups.at(-1) ?? "");
  const four = FOUR.test(last);
  const sound = (four ? groups.slice(0, -1) : groups).every((group) => /^[0-9a-f]{1,4}$/i.test(group));
  const count = groups.length + (four ? 1 : 0);
  return sound && (halves.length === 2 ? count <= 7 : count === 8);
}
