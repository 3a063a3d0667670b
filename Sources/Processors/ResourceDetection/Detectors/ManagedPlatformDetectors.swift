internal import Configuration
internal import OTLP

// Platforms that tell their programs by the environment or a file.

extension DetectorKind {
    /// AWS Lambda; nothing elsewhere.
    func detectLambda(_ probe: Probe) -> [DetectedAttribute] {
        guard let name = probe.variable("AWS_LAMBDA_FUNCTION_NAME") else { return [] }
        let found = [
            DetectedAttribute("cloud.provider", "aws"), DetectedAttribute("cloud.platform", "aws_lambda"),
            DetectedAttribute("faas.name", name),
        ]
        func list(_ name: String, _ variable: String) -> [DetectedAttribute] {
            probe.variable(variable).map { [DetectedAttribute(name, .list([.string($0)]))] } ?? []
        }
        return found
            + variables(
                probe,
                [
                    ("AWS_REGION", "cloud.region"), ("AWS_LAMBDA_FUNCTION_VERSION", "faas.version"),
                    ("AWS_LAMBDA_LOG_STREAM_NAME", "faas.instance"),
                    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "faas.max_memory"),
                ])
            + list("aws.log.group.names", "AWS_LAMBDA_LOG_GROUP_NAME")
            + list("aws.log.stream.names", "AWS_LAMBDA_LOG_STREAM_NAME")
    }

    /// AWS Elastic Beanstalk, which writes a file for its tracing daemon; nothing elsewhere.
    func detectElasticBeanstalk(_ probe: Probe) async throws -> [DetectedAttribute] {
        let path = "/var/elasticbeanstalk/xray/environment.conf"
        guard let text = try await probe.file(path) else { return [] }
        let file = try Probe.json(Array(text.utf8), from: path)
        var found = [
            DetectedAttribute("cloud.provider", "aws"),
            DetectedAttribute("cloud.platform", "aws_elastic_beanstalk"),
        ]
        found += attributes(
            file, [("environment_name", "deployment.environment"), ("version_label", "service.version")])
        if case .number(let deployment) = file["deployment_id"] {
            found.append(DetectedAttribute("service.instance.id", deployment))
        }
        return found
    }

    /// Heroku with its dyno metadata; nothing elsewhere.
    func detectHeroku(_ probe: Probe) -> [DetectedAttribute] {
        guard let dyno = probe.variable("HEROKU_DYNO_ID") else { return [] }
        return [
            DetectedAttribute("cloud.provider", "heroku"), DetectedAttribute("service.instance.id", dyno),
        ]
            + variables(
                probe,
                [
                    ("HEROKU_APP_ID", "heroku.app.id"), ("HEROKU_APP_NAME", "service.name"),
                    ("HEROKU_RELEASE_CREATED_AT", "heroku.release.creation_timestamp"),
                    ("HEROKU_RELEASE_VERSION", "service.version"),
                    ("HEROKU_SLUG_COMMIT", "heroku.release.commit"),
                ])
    }

    private func variables(_ probe: Probe, _ names: [(variable: String, attribute: String)])
        -> [DetectedAttribute]
    {
        names.compactMap { name in
            probe.variable(name.variable).map { DetectedAttribute(name.attribute, $0) }
        }
    }
}
