internal import OTLP
internal import RegularExpression

extension DetectorKind {
    /// Azure's instance metadata service.
    func detectAzure(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        let base = probe.azureEndpoint
        let compute = try await probe.json(
            base + "/metadata/instance/compute?api-version=2020-09-01&format=json",
            headers: [(name: "Metadata", value: "True")])
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
