// An operator's own login server, on another site than the gateway (127.0.0.1 is another site than localhost). It shares the gateway's
// two secrets.
import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import { createServer } from "node:http";

const base64url = (data) => Buffer.from(data).toString("base64url");
const html = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

/** Signs with HS256. */
function sign(payload, secret) {
    const text = `${base64url(JSON.stringify({ typ: "JWT", alg: "HS256" }))}.${base64url(JSON.stringify(payload))}`;
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** Encrypts with dir and A128CBC-HS256 (RFC 7518, section 5.2.3). */
function encrypt(text, secret) {
    const [mac, key] = [Buffer.from(secret).subarray(0, 16), Buffer.from(secret).subarray(16, 32)];
    const header = base64url(JSON.stringify({ typ: "JWT", cty: "JWT", alg: "dir", enc: "A128CBC-HS256" }));
    const iv = randomBytes(16);
    const cipher = createCipheriv("aes-128-cbc", key, iv);
    const content = Buffer.concat([cipher.update(text), cipher.final()]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(header.length * 8));
    const tag = createHmac("sha256", mac).update(Buffer.concat([Buffer.from(header), iv, content, length])).digest().subarray(0, 16);
    return `${header}..${base64url(iv)}.${base64url(content)}.${base64url(tag)}`;
}

/** Starts it. `gateway` is to be set before the first visit; `decides`: it posts the decision as well (`Grant`, `Deny`). */
export function loginServer() {
    const server = { gateway: undefined, decides: "consent", pageOnly: false };
    const listener = createServer((request, response) => {
        if (!request.url.startsWith("/signin")) {
            response.writeHead(404).end();
            return;
        }
        let body = "";
        request.on("data", (chunk) => (body += chunk));
        request.on("end", () => {
            const asked = new URLSearchParams(request.method === "POST" ? body : new URL(request.url, "http://x").search);
            response.setHeader("Content-Type", "text/html;charset=UTF-8");
            response.end(`<!DOCTYPE html><html lang="en"><title>Login</title>${answer(server, request.method, asked)}`);
        });
    });
    return new Promise((resolve) => {
        listener.listen(0, "127.0.0.1", () => {
            resolve(Object.assign(server, { origin: `http://127.0.0.1:${listener.address().port}`, close: () => listener.close() }));
        });
    });
}

function answer(server, method, asked) {
    const [sessionID, sessionData] = [asked.get("sessionID"), asked.get("sessionData")];
    const hidden = (name, value) => `<input type="hidden" name="${name}" value="${html(value)}">`;
    const consent = `${server.gateway.origin}/auth/oauth/v2/authorize/consent`;
    if (method === "GET") {
        const action = server.pageOnly ? `${server.gateway.origin}/auth/oauth/v2/authorize/login` : "/signin";
        return `<h1>Login elsewhere</h1><p id="error">${html(asked.get("login_error") ?? "")}</p><form method="post" action="${action}">
            ${hidden("sessionID", sessionID)}${hidden("sessionData", sessionData)}
            <input name="username"><input name="password" type="password"><button name="action" value="login">Log in</button></form>`;
    }
    const { session, request_consent, request_parameters } = JSON.parse(Buffer.from(sessionData.split(".")[1], "base64url"));
    const user = {
        ...session,
        exp: Math.floor(Date.now() / 1000) + 60,
        current_username: encodeURIComponent(asked.get("username")),
        current_user_consent: "active",
        current_user_authTime: String(Math.floor(Date.now() / 1000)),
    };
    const signed = sign({ session: user, request_consent, request_parameters }, server.gateway.secret("otk.session_secret"));
    return `<h1>Welcome</h1><form method="post" action="${consent}">
        ${hidden("sessionID", sessionID)}${hidden("sessionData", encrypt(signed, server.gateway.secret("otk.session_secret_encryption")))}
        <button name="action" value="${server.decides}">Continue</button></form>`;
}
