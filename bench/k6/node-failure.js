// The guide's test of a lost node: run it, and while it runs turn a node off that has a gateway. (`kubectl drain` is an
// orderly eviction, not a failure; it is tested by rollout.js.) Requests go on with the other replicas; none may be without
// an answer for 30 s. What was acknowledged is to be counted in Loki afterwards: {service_name="k6"}.
import { overGRPC, overHTTP } from "./otlp.js";

const load = { executor: "constant-vus", vus: Number(__ENV.VUS || 20), duration: __ENV.DURATION || "5m" };

export const options = {
    scenarios: { http: { ...load, exec: "byHTTP" }, grpc: { ...load, exec: "byGRPC" } },
    thresholds: { checks: ["rate==1"], iteration_duration: ["max<30000"] },
};

export const byHTTP = () => overHTTP(20, 12);
export const byGRPC = () => overGRPC(20, 12);
