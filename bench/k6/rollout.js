// The guide's rollout test: run it, and while it runs
//   kubectl -n platform-01 rollout restart statefulset/sluice && kubectl -n platform-01 rollout status statefulset/sluice
// Not one request may fail after the retries that OTLP prescribes.
import { overGRPC, overHTTP } from "./otlp.js";

const load = { executor: "constant-vus", vus: Number(__ENV.VUS || 20), duration: __ENV.DURATION || "5m" };

export const options = {
    scenarios: { http: { ...load, exec: "byHTTP" }, grpc: { ...load, exec: "byGRPC" } },
    thresholds: { checks: ["rate==1"] },
};

export const byHTTP = () => overHTTP(20, 12);
export const byGRPC = () => overGRPC(20, 12);
