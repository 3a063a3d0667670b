// The guide's capacity test: P95 below 500 ms, fewer than 0.1 % errors, without any retry. CPU and memory (below 80 % and
// 85 %) are on the dashboard "Sluice gateways".
//   k6 run -e OTLP_HTTP=https://otlp.platform-01.example.com -e OTLP_GRPC=otlp-grpc.platform-01.example.com:443 capacity.js
import { overGRPC, overHTTP } from "./otlp.js";

const rate = Number(__ENV.RATE || 300);
const load = { executor: "constant-arrival-rate", rate, timeUnit: "1s", duration: __ENV.DURATION || "5m", preAllocatedVUs: 50, maxVUs: 200 };

export const options = {
    scenarios: { http: { ...load, exec: "byHTTP" }, grpc: { ...load, exec: "byGRPC" } },
    thresholds: {
        http_req_duration: ["p(95)<500"],
        grpc_req_duration: ["p(95)<500"],
        http_req_failed: ["rate<0.001"],
        checks: ["rate>0.999"],
        dropped_iterations: ["count==0"],
    },
};

export const byHTTP = () => overHTTP(20, 1);
export const byGRPC = () => overGRPC(20, 1);
