/**
 * Stands in for wrangler and an account: ACCOUNT is a JSON file with the databases, buckets and secrets that are there, and with
 * what is to fail; every call is written into CALLS. It knows the commands that a deployment needs, and fails at all others.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";

const file = process.env.ACCOUNT;
const account = JSON.parse(readFileSync(file, "utf8"));
const args = process.argv.slice(2);
const at = args.indexOf("--config");
const line = [...args.slice(0, at), ...args.slice(at + 2)].join(" ");
appendFileSync(process.env.CALLS, `${line}\n`);
if (account.fails !== undefined && line.startsWith(account.fails)) end(3, "", "Authentication error [code: 10000]");

const [, name] = /^(?:d1 create|r2 bucket create|r2 bucket info) (\S+)/.exec(line) ?? [];
if (line.startsWith("d1 list"))
  end(0, JSON.stringify(account.databases.map((database) => ({ uuid: "u", name: database }))));
if (line.startsWith("d1 create")) made("databases");
if (line.startsWith("r2 bucket create")) made("buckets");
if (line.startsWith("r2 bucket info"))
  end(account.buckets.includes(name) ? 0 : 1, "", "The specified bucket does not exist.");
if (line.startsWith("secret list")) {
  if (account.secrets === null) end(1, "", "This Worker does not exist on your account. [code: 10007]");
  end(0, JSON.stringify(account.secrets.map((secret) => ({ name: secret, type: "secret_text" }))));
}
if (line.startsWith("d1 migrations apply") || line.startsWith("deploy")) end(0, "done");
end(64, "", `the fake doesn't know: ${line}`);

function made(kind) {
  if (account[kind].includes(name)) end(1, "", `${name} exists already`);
  account[kind].push(name);
  writeFileSync(file, JSON.stringify(account));
  end(0, "made");
}

function end(status, stdout, stderr = "") {
  if (stdout !== "") process.stdout.write(`${stdout}\n`);
  if (stderr !== "") process.stderr.write(`${stderr}\n`);
  process.exit(status);
}
