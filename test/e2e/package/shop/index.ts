/** A Worker that uses another one's operators by a service binding. */
import type { Service } from "keyframe-streams";
import type { operators } from "../streams/src/index.ts";

interface Env {
  readonly STREAMS: Service<typeof operators>;
  readonly STREAMS_HTTP: Fetcher;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const page = url.searchParams.get("page") ?? "";
    const visited = { type: "page.visited", data: { page } } as const;
    switch (url.pathname) {
      case "/health":
        return env.STREAMS_HTTP.fetch("http://streams/healthz");
      case "/visit": {
        const asked = await env.STREAMS.ask("visits", { ...visited, id: url.searchParams.get("id") ?? "" });
        if (asked.tag === "applied")
          return Response.json({ tag: asked.tag, ...(asked.value as { visits: number }), duplicate: asked.duplicate });
        return Response.json({ tag: asked.tag, code: asked.tag === "refused" ? asked.code : null });
      }
      case "/send": {
        const count = Number(url.searchParams.get("count"));
        return Response.json(await env.STREAMS.send(Array.from({ length: count }, () => visited)));
      }
      case "/read": {
        const got = await env.STREAMS.get("visits", page);
        if (got.tag === "found") got.value.visits satisfies number;
        return Response.json(got);
      }
      case "/over-http": {
        const token = url.searchParams.get("token");
        const headers = token === null ? {} : { authorization: `Bearer ${token}` };
        return env.STREAMS_HTTP.fetch("http://streams/v1/operators", { headers });
      }
      default:
        return new Response(null, { status: 404 });
    }
  },
};
