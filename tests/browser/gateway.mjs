// A gateway on its own home, with a user and a client, and the client's web server, as long as the tests run.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const binary = process.env.PORTCULLIS;
/** Where the gateways store: the embedded database, or a new database of this PostgreSQL server for each. */
const server = process.env.BROWSER_DATABASE;

/** A new, empty database of the server: its address, and how it goes. */
function scratch() {
    const name = `browser_${process.pid}_${Math.random().toString(36).slice(2)}`;
    const sql = (text) => execFileSync("psql", [server, "-qX", "-v", "ON_ERROR_STOP=1", "-c", text], { stdio: ["ignore", "ignore", "inherit"] });
    sql(`create database ${name}`);
    const url = new URL(server);
    url.pathname = `/${name}`;
    // The gateway puts the sample clients, whose secrets everybody knows, into its own embedded database only.
    const samples = () => {
        const folder = new URL("../../fragments/persistence/samples/", import.meta.url);
        for (const file of readdirSync(folder).sort()) {
            execFileSync("psql", [url.href, "-qX", "-v", "ON_ERROR_STOP=1", "-f", fileURLToPath(new URL(file, folder))], { stdio: ["ignore", "ignore", "inherit"] });
        }
    };
    return { url: url.href, samples, drop: () => sql(`drop database ${name} with (force)`) };
}

/**
 * Starts everything; `stop` ends it. `configuration`: statements for the authorization server's configuration; `scopes`: more for the client.
 * `settings`: a `gateway.yaml`. `relay` is a client with an https callback that sends the browser on: to an app's scheme, or to the first client's server.
 */
export async function start(configuration = "", scopes = "", settings = "") {
    const home = mkdtempSync(join(tmpdir(), "portcullis-browser-"));
    const database = server ? scratch() : undefined;
    if (database) settings += `connections: { OAuth: "${database.url}" }\n`;
    if (settings) writeFileSync(join(home, "gateway.yaml"), settings);
    if (configuration) {
        const name = "OTK Authorization Server Configuration";
        mkdirSync(join(home, "customizations", "authorization"), { recursive: true });
        writeFileSync(
            join(home, "customizations", "authorization", `#${name.toLowerCase().replaceAll(" ", "-")}.policy`),
            `customize "${name}" {\n${configuration}\n}\n`,
        );
    }
    const cli = (args, input) => execFileSync(binary, [...args, "--home", home], { input, encoding: "utf8" });
    const app = await client();
    mkdirSync(join(home, "services"), { recursive: true });
    writeFileSync(
        join(home, "services", "relay.policy"),
        `service "Relay" at "/relay" methods GET {
    set onward = "${app.callback}"
    if \${request.http.query.state} == "app" { set onward = "claude://callback" }
    Respond(status: 302, headers: json { "Location": \${onward} })
}
`,
    );
    const gateway = spawn(binary, ["serve", "--home", home, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await listening(gateway);
    if (settings.includes("sample_data: true")) database?.samples();
    cli(["user", "add", "alice"], "alice-password\n");
    cli(["user", "add", "bob"], "bob-password\n");
    if (settings) cli(["user", "add", "admin"], "admin-password\n");
    const made = cli(["client", "add", "--name", "Example App", "--org", "Example", "--scope", `openid email read ${scopes}`.trim(), "--callback", app.callback, "--json"]);
    const { client_key, secret } = JSON.parse(made);
    const callback = `https://localhost:${port}/relay`;
    const relay = JSON.parse(cli(["client", "add", "--name", "Relay", "--org", "Example", "--scope", "read", "--callback", callback, "--json"]));
    return {
        cli,
        relay: relay.client_key,
        origin: `https://localhost:${port}`,
        authority: join(home, "keys", "ca.pem"),
        app: { ...app, id: client_key, secret },
        secret: (name) => readFileSync(join(home, "keys", "secrets", name), "utf8").trim(),
        stop() {
            gateway.kill("SIGTERM");
            app.close();
            database?.drop();
            rmSync(home, { recursive: true, force: true });
        },
    };
}

function listening(gateway) {
    return new Promise((resolve, reject) => {
        let text = "";
        gateway.stdout.on("data", (chunk) => {
            text += chunk;
            const found = /listening https:\/\/\S*?:(\d+)/.exec(text);
            if (found) resolve(found[1]);
        });
        gateway.on("exit", (code) => reject(new Error(`the gateway ended with ${code} before it listened`)));
    });
}

/** Where the client gets its answers: a page that shows nothing but that it was reached. */
function client() {
    return new Promise((resolve) => {
        let posted = "";
        const server = createServer((request, response) => {
            if (request.method === "POST") {
                posted = "";
                request.on("data", (chunk) => (posted += chunk));
            }
            response.setHeader("Content-Type", "text/html;charset=UTF-8");
            response.end("<!DOCTYPE html><html lang=\"en\"><title>App</title><h1>Back at the app</h1></html>");
        });
        server.listen(0, "127.0.0.1", () => {
            resolve({ callback: `http://127.0.0.1:${server.address().port}/cb`, posted: () => Object.fromEntries(new URLSearchParams(posted)), close: () => server.close() });
        });
    });
}
