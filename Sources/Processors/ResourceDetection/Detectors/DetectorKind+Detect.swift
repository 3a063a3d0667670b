extension DetectorKind {
    /// Looks. Nothing when the process does not run where the detector looks at.
    /// - Throws: `DetectionError`, after which it may be tried again.
    func detect(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        switch self {
        case .env: return try detectEnvironment(probe)
        case .system: return try await detectSystem(config, probe)
        case .docker: return try await detectDocker(config, probe)
        case .k8sNode: return try await detectNode(config, probe)
        case .eks: return try await detectEKS(config, probe)
        case .ec2: return try await orNothing(config) { try await detectEC2(probe) }
        case .ecs: return try await detectECS(probe)
        case .gcp: return try await orNothing(config) { try await detectGCP(config, probe) }
        case .azure: return try await orNothing(config) { try await detectAzure(config, probe) }
        case .openshift: return try await detectOpenShift(config, probe)
        case .lambda: return detectLambda(probe)
        case .elasticBeanstalk: return try await detectElasticBeanstalk(probe)
        case .heroku: return detectHeroku(probe)
        case .aks: return try await orNothing(config) { try await detectAKS(probe) }
        }
    }

    /// Clouds whose server of metadata is not there are not where the process runs, unless that is said to be an error.
    private func orNothing(
        _ config: ResourceDetectionConfig, _ detect: () async throws -> [DetectedAttribute]
    ) async throws -> [DetectedAttribute] {
        do { return try await detect() } catch let error as DetectionError {
            if config.failsOnMissing { throw error }
            return []
        }
    }
}
