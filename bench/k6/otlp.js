// What the three scripts share: OTLP requests in JSON over HTTP, and gRPC calls, against a real cluster.
//   OTLP_HTTP  http(s)://host:4318, OTLP_GRPC  host:4317, PLAINTEXT  true without TLS
import { check, sleep } from "k6";
import exec from "k6/execution";
import grpc from "k6/net/grpc";
import http from "k6/http";
import { Counter } from "k6/metrics";

export const repeated = new Counter("otlp_repeated_attempts");

const url = `${__ENV.OTLP_HTTP || "http://127.0.0.1:4318"}/v1/logs`;
const target = __ENV.OTLP_GRPC || "127.0.0.1:4317";
const client = new grpc.Client();
client.load(["../../proto"], "logs_service.proto");
let connected = false;

function request(records) {
    const now = `${Date.now()}000000`;
    const one = (i) => ({
        timeUnixNano: now,
        severityNumber: 9,
        body: { stringValue: `k6 ${exec.vu.idInTest}/${exec.scenario.iterationInTest}/${i}` },
    });
    const resource = { attributes: [{ key: "service.name", value: { stringValue: "k6" } }] };
    const logRecords = Array.from({ length: records }, (_, i) => one(i));
    return { resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] };
}

// One request over HTTP, tried again as OTLP prescribes; the last answer is what counts.
export function overHTTP(records, attempts) {
    const body = JSON.stringify(request(records));
    const parameters = { headers: { "Content-Type": "application/json" }, timeout: "10s" };
    for (let attempt = 1; ; attempt++) {
        const answer = http.post(url, body, parameters);
        const again = [0, 429, 502, 503, 504].includes(answer.status);
        if (!again || attempt >= attempts) {
            return check(answer, { "taken over HTTP": (each) => each.status === 200 });
        }
        repeated.add(1);
        sleep(Number(answer.headers["Retry-After"]) || Math.min(5, 0.1 * 2 ** attempt));
    }
}

// One call over gRPC, tried again after UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED, DEADLINE_EXCEEDED.
export function overGRPC(records, attempts) {
    const message = request(records);
    for (let attempt = 1; ; attempt++) {
        let status;
        try {
            if (!connected) {
                client.connect(target, { plaintext: __ENV.PLAINTEXT === "true", timeout: "5s" });
                connected = true;
            }
            status = client.invoke("opentelemetry.proto.collector.logs.v1.LogsService/Export", message).status;
        } catch (error) {
            connected = false;
            status = grpc.StatusUnavailable;
        }
        const again = [
            grpc.StatusUnavailable, grpc.StatusResourceExhausted, grpc.StatusAborted, grpc.StatusDeadlineExceeded,
        ].includes(status);
        if (!again || attempt >= attempts) {
            return check(status, { "taken over gRPC": (each) => each === grpc.StatusOK });
        }
        repeated.add(1);
        sleep(Math.min(5, 0.1 * 2 ** attempt));
    }
}
