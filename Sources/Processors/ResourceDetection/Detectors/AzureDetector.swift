internal import OTLP
internal import RegularExpression

extension DetectorKind {
    /// A cluster on one of Azure's machines; nothing elsewhere.
    func detectAKS(_ probe: Probe) async throws -> [DetectedAttribute] {
        guard probe.variable("KUBERNETES_SERVICE_HOST") != nil else { return [] }
        _ = try await azureCompute(probe)
        return [
            DetectedAttribute("cloud.provider", "azure"), DetectedAttribute("cloud.platform", "azure_aks"),
        ]
    }

    private func azureCompute(_ probe: Probe) async throws -> JSONTree {
        try await probe.json(
            probe.azureEndpoint + "/metadata/instance/compute?api-version=2020-09-01&format=json",
            headers: [(name: "Metadata", value: "True")])
    }

    /// Azure's instance metadata service.
    func detectAzure(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        let compute = try await azureCompute(probe)
        var found = [
            DetectedAttribute("cloud.provider", "azure"), DetectedAttribute("cloud.platform", "azure_vm"),
        ]
        found += attributes(
            compute,
            [
                ("location", "cloud.region"), ("subscriptionId", "cloud.account.id"), ("vmId", "host.id"),
                ("name", "azure.vm.name"), ("vmSize", "azure.vm.size"),
                ("vmScaleSetName", "azure.vm.scaleset.name"),
                ("resourceGroupName", "azure.resourcegroup.name"),
            ])
        if let name = compute["osProfile"]["computerName"].text ?? compute["name"].text {
            found.append(DetectedAttribute("host.name", name))
        }
        let patterns = config.azureTags.compactMap { try? RegularExpression($0) }
        for tag in compute["tagsList"].items {
            guard let name = tag["name"].text, patterns.contains(where: { $0.occurs(in: name) }) else {
                continue
            }
            found.append(DetectedAttribute("azure.tag.\(name)", tag["value"].text ?? ""))
        }
        return found
    }
}
