internal import OTLP

extension DetectorKind {
    /// Google's metadata server; what the process runs on follows from its environment.
    func detectGCP(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        let base =
            "http://\(probe.variable("GCE_METADATA_HOST") ?? "metadata.google.internal")/computeMetadata/v1/"
        func text(_ path: String) async throws -> String {
            try await probe.text(base + path, headers: [(name: "Metadata-Flavor", value: "Google")])
        }
        var found = [
            DetectedAttribute("cloud.provider", "gcp"),
            DetectedAttribute("cloud.account.id", try await text("project/project-id")),
        ]
        if probe.variable("KUBERNETES_SERVICE_HOST") != nil {
            found.append(DetectedAttribute("cloud.platform", "gcp_kubernetes_engine"))
            found += Self.place(try await text("instance/attributes/cluster-location"))
            found.append(
                DetectedAttribute("k8s.cluster.name", try await text("instance/attributes/cluster-name")))
            found.append(DetectedAttribute("host.id", try await text("instance/id")))
            return found
        }
        if let service = probe.variable("K_SERVICE") ?? probe.variable("CLOUD_RUN_JOB") {
            let isFunction = probe.variable("FUNCTION_TARGET") != nil
            found.append(
                DetectedAttribute("cloud.platform", isFunction ? "gcp_cloud_functions" : "gcp_cloud_run"))
            // projects/NUMBER/regions/REGION
            found += Self.place(String(try await text("instance/region").split(separator: "/").last ?? ""))
            found.append(DetectedAttribute("faas.name", service))
            found.append(DetectedAttribute("faas.instance", try await text("instance/id")))
            for (variable, name) in [
                ("K_REVISION", "faas.version"), ("CLOUD_RUN_EXECUTION", "gcp.cloud_run.job.execution"),
                ("CLOUD_RUN_TASK_INDEX", "gcp.cloud_run.job.task_index"),
            ] {
                if let value = probe.variable(variable) { found.append(DetectedAttribute(name, value)) }
            }
            return found
        }
        found.append(DetectedAttribute("cloud.platform", "gcp_compute_engine"))
        // projects/NUMBER/zones/ZONE, projects/NUMBER/machineTypes/TYPE
        found += Self.place(String(try await text("instance/zone").split(separator: "/").last ?? ""))
        let type = try await text("instance/machine-type").split(separator: "/").last ?? ""
        let name = try await text("instance/name")
        found += [
            DetectedAttribute("host.type", String(type)),
            DetectedAttribute("host.id", try await text("instance/id")),
            DetectedAttribute("host.name", name), DetectedAttribute("gcp.gce.instance.name", name),
        ]
        if config.wants("gcp.gce.instance.hostname", of: self) {
            found.append(DetectedAttribute("gcp.gce.instance.hostname", try await text("instance/hostname")))
        }
        return found
    }

    /// A zone, `europe-west1-b`, with its region, or a region alone.
    static func place(_ name: String) -> [DetectedAttribute] {
        let parts = name.split(separator: "-")
        guard parts.count >= 3 else { return [DetectedAttribute("cloud.region", name)] }
        return [
            DetectedAttribute("cloud.availability_zone", name),
            DetectedAttribute("cloud.region", parts.prefix(2).joined(separator: "-")),
        ]
    }
}
