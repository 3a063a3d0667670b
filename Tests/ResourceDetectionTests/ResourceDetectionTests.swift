import Configuration
import Foundation
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import ResourceDetection

/// What the gateway says of where it runs. Wrong, every resource behind it is in the wrong place.
@Suite("resource_detection")
struct ResourceDetectionTests {
    private static func read(_ yaml: String) -> (ResourceDetectionConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (ResourceDetectionConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics)), diagnostics)
    }

    private static func probe(_ variables: [String: String], root: String = "") -> Probe {
        var probe = Probe(eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: makeSilentLogger())
        probe.variable = { variables[$0] }
        probe.root = root
        return probe
    }

    /// What is set, as `key=value`; lists and numbers as JSON.
    private static func detect(_ yaml: String, _ probe: Probe) async throws -> [String] {
        var (config, diagnostics) = read(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        // A busy machine may take a minute to do what an idle one does at once.
        if config.timeout == .seconds(5) { config.timeout = .seconds(60) }
        let resource = DetectedResource(config, probe, logger: makeSilentLogger())
        try await resource.start()
        defer { Task { _ = await resource.stop(until: .now()) } }
        return resource.attributes.map { entry in
            "\(entry.key.text)=\(String(decoding: AttributeText(entry.value.value).bytes, as: UTF8.self))"
        }
    }

    private static func server(_ answers: [String: String]) async throws -> StandInServer {
        try await StandInServer { request in
            let path = String(request.target.prefix { $0 != "?" })
            return answers[path].map { .init($0) } ?? .init("", status: 404)
        }
    }

    // MARK: - env

    @Test("OTEL_RESOURCE_ATTRIBUTES is read, escapes and all")
    func environment() async throws {
        let probe = Self.probe(["OTEL_RESOURCE_ATTRIBUTES": "a=1, b.c = x%20y+z ,d="])
        #expect(try await Self.detect("", probe) == ["a=1", "b.c=x y z", "d="])
        #expect(try await Self.detect("", Self.probe([:])) == [])
    }

    @Test("a comma behind the last pair, as templates write it, does not keep the gateway from starting")
    func commaBehindTheLast() async throws {
        let probe = Self.probe(["OTEL_RESOURCE_ATTRIBUTES": " a=1,b=2, "])
        #expect(try await Self.detect("", probe) == ["a=1", "b=2"])
    }

    @Test("the variable's former name counts where the new one says nothing")
    func formerName() async throws {
        #expect(
            try await Self.detect(
                "", Self.probe(["OTEL_RESOURCE": "a=1", "OTEL_RESOURCE_ATTRIBUTES": " "])) == ["a=1"])
        #expect(
            try await Self.detect(
                "", Self.probe(["OTEL_RESOURCE": "a=1", "OTEL_RESOURCE_ATTRIBUTES": "a=2"])) == ["a=2"])
    }

    @Test("text that is none stops the start", arguments: ["novalue", "a=%4", "=x", "ä=1"])
    func brokenEnvironment(text: String) async {
        await #expect(throws: ComponentError.self) {
            _ = try await Self.detect("timeout: 10ms", Self.probe(["OTEL_RESOURCE_ATTRIBUTES": text]))
        }
    }

    @Test(
        "keys of eks that need more than this version has are taken when they are off, and teach when they are on"
    )
    func eksKeys() {
        let off = Self.read(
            "{detectors: [eks], eks: {node_from_env_var: N, resource_attributes: {k8s.cluster.name: {enabled: false}}}}"
        )
        #expect(!off.1.hasErrors && off.1.render().contains("has no effect"), "\(off.1.render())")
        let on = Self.read(
            "{detectors: [eks], eks: {resource_attributes: {k8s.cluster.name: {enabled: true}}}}"
        ).1
        #expect(on.items.count == 1 && on.render().contains("OTEL_RESOURCE_ATTRIBUTES"), "\(on.render())")
        let gke = Self.read("detectors: [gke]").1
        #expect(gke.items.count == 1 && gke.render().contains("write gcp"), "\(gke.render())")
    }

    // MARK: - Managed platforms

    @Test("platforms that tell by the environment are told, and elsewhere nothing is")
    func managedPlatforms() async throws {
        #expect(
            try await Self.detect("detectors: [lambda, elastic_beanstalk, heroku, aks]", Self.probe([:]))
                == [])
        let lambda = Self.probe([
            "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "eu-1", "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        ])
        #expect(
            try await Self.detect(
                "{detectors: [lambda], lambda: {resource_attributes: {faas.instance: {enabled: false}}}}",
                lambda)
                == [
                    "cloud.provider=aws", "cloud.platform=aws_lambda", "faas.name=f", "cloud.region=eu-1",
                    "faas.version=7", "faas.max_memory=128", "aws.log.group.names=[\"g\"]",
                    "aws.log.stream.names=[\"s\"]",
                ])
        let heroku = Self.probe([
            "HEROKU_DYNO_ID": "d", "HEROKU_APP_ID": "a", "HEROKU_APP_NAME": "n", "HEROKU_SLUG_COMMIT": "c",
            "HEROKU_RELEASE_CREATED_AT": "t", "HEROKU_RELEASE_VERSION": "v1",
        ])
        #expect(
            try await Self.detect("detectors: [heroku]", heroku) == [
                "cloud.provider=heroku", "service.instance.id=d", "heroku.app.id=a", "service.name=n",
                "heroku.release.creation_timestamp=t", "service.version=v1", "heroku.release.commit=c",
            ])
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        let file = root.appending(path: "var/elasticbeanstalk/xray/environment.conf")
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try #"{"deployment_id":23,"version_label":"v2","environment_name":"prod"}"#.write(
            to: file, atomically: true, encoding: .utf8)
        #expect(
            try await Self.detect("detectors: [elasticbeanstalk]", Self.probe([:], root: root.path)) == [
                "cloud.provider=aws", "cloud.platform=aws_elastic_beanstalk", "deployment.environment=prod",
                "service.version=v2", "service.instance.id=23",
            ])
    }

    @Test("a cluster on Azure is one of AKS; a machine without a cluster is none")
    func aks() async throws {
        let server = try await Self.server(["/metadata/instance/compute": "{}"])
        var probe = Self.probe(["KUBERNETES_SERVICE_HOST": "10.0.0.1"])
        probe.azureEndpoint = "http://127.0.0.1:\(server.port)"
        #expect(
            try await Self.detect("detectors: [aks]", probe) == [
                "cloud.provider=azure", "cloud.platform=azure_aks",
            ])
        probe.variable = { _ in nil }
        #expect(try await Self.detect("detectors: [aks]", probe) == [])
        try await server.close()
    }

    // MARK: - system

    @Test("the system tells its host, and more when it is asked")
    func system() async throws {
        let usual = try await Self.detect(
            "{detectors: [system], system: {hostname_sources: [os]}}", Self.probe([:]))
        #expect(usual.map { $0.prefix { $0 != "=" } } == ["host.name", "os.type"])
        #expect(usual.last == "os.type=linux")
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        for (path, text) in [
            ("etc/machine-id", "0123abcd\n"),
            ("etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"),
            ("proc/cpuinfo", "vendor_id : Maker\nmodel : 7\ncache size : 512 KB\n\nmodel : 8\n"),
        ] {
            let file = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let wanted = [
            "host.id", "os.name", "os.version", "host.cpu.vendor.id", "host.cpu.model.id",
            "host.cpu.cache.l2.size",
        ]
        let on =
            (wanted.map { "\($0): {enabled: true}" } + [
                "host.name: {enabled: false}", "os.type: {enabled: false}",
            ])
            .joined(separator: ", ")
        let more = try await Self.detect(
            "{detectors: [system], system: {resource_attributes: {\(on)}}}", Self.probe([:], root: root.path))
        #expect(
            more == [
                "host.id=0123abcd", "host.cpu.vendor.id=Maker", "host.cpu.model.id=7",
                "host.cpu.cache.l2.size=512",
                "os.name=Debian GNU/Linux", "os.version=12",
            ])
    }

    // MARK: - Clouds

    @Test("ec2 asks for a token first")
    func ec2() async throws {
        let server = try await Self.server([
            "/latest/api/token": "secret", "/latest/meta-data/hostname": "ip-10-0-0-1",
            "/latest/dynamic/instance-identity/document":
                #"{"region":"eu-west-1","accountId":"42","availabilityZone":"eu-west-1b","instanceId":"i-1","imageId":"ami-1","instanceType":"m5"}"#,
        ])
        let probe = Self.probe(["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url])
        #expect(
            try await Self.detect("detectors: [ec2]", probe) == [
                "cloud.provider=aws", "cloud.platform=aws_ec2", "host.name=ip-10-0-0-1",
                "cloud.region=eu-west-1",
                "cloud.account.id=42", "cloud.availability_zone=eu-west-1b", "host.id=i-1",
                "host.image.id=ami-1",
                "host.type=m5",
            ])
        #expect(server.requests.map(\.method) == ["PUT", "GET", "GET"])
        #expect(server.requests.last?.headers["x-aws-ec2-metadata-token"] == "secret")
        try await server.close()
    }

    @Test("a cloud whose server is not there is another one, unless that is an error")
    func elsewhere() async throws {
        let server = try await Self.server([:])
        let probe = Self.probe(["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url])
        #expect(try await Self.detect("detectors: [ec2]", probe) == [])
        await #expect(throws: ComponentError.self) {
            _ = try await Self.detect(
                "{detectors: [ec2], fail_on_missing_metadata: true, timeout: 100ms}", probe)
        }
        try await server.close()
    }

    @Test("ecs reads the task")
    func ecs() async throws {
        let server = try await Self.server([
            "/v4/task":
                #"{"Cluster":"c","TaskARN":"arn:aws:ecs:us-west-2:111:task/c/abc","Family":"f","Revision":"3","AvailabilityZone":"us-west-2d","LaunchType":"FARGATE"}"#,
            "/v4": #"{"LogDriver":"awslogs","LogOptions":{"awslogs-group":"g","awslogs-stream":"s"}}"#,
        ])
        let found = try await Self.detect(
            "detectors: [ecs]", Self.probe(["ECS_CONTAINER_METADATA_URI_V4": server.url + "/v4"]))
        for expected in [
            "cloud.platform=aws_ecs", "cloud.region=us-west-2", "cloud.account.id=111", "aws.ecs.task.id=abc",
            "aws.ecs.cluster.arn=arn:aws:ecs:us-west-2:111:cluster/c", "aws.ecs.launchtype=fargate",
            #"aws.log.stream.arns=["arn:aws:logs:us-west-2:111:log-group:g:log-stream:s"]"#,
        ] {
            #expect(found.contains(expected), "\(found)")
        }
        #expect(try await Self.detect("detectors: [ecs]", Self.probe([:])) == [])
        try await server.close()
    }

    @Test("gcp tells machines and clusters apart")
    func gcp() async throws {
        let base = "/computeMetadata/v1/"
        let server = try await Self.server([
            base + "project/project-id": "p", base + "instance/zone": "projects/1/zones/europe-west1-b",
            base + "instance/machine-type": "projects/1/machineTypes/n2", base + "instance/id": "77",
            base + "instance/name": "vm", base + "instance/attributes/cluster-location": "europe-west1",
            base + "instance/attributes/cluster-name": "k",
        ])
        let host = "127.0.0.1:\(server.port)"
        #expect(
            try await Self.detect("detectors: [gcp]", Self.probe(["GCE_METADATA_HOST": host])) == [
                "cloud.provider=gcp", "cloud.account.id=p", "cloud.platform=gcp_compute_engine",
                "cloud.availability_zone=europe-west1-b", "cloud.region=europe-west1", "host.type=n2",
                "host.id=77",
                "host.name=vm",
            ])
        #expect(server.requests.allSatisfy { $0.headers["metadata-flavor"] == "Google" })
        let cluster = try await Self.detect(
            "detectors: [gcp]", Self.probe(["GCE_METADATA_HOST": host, "KUBERNETES_SERVICE_HOST": "x"]))
        #expect(
            cluster.contains("k8s.cluster.name=k") && cluster.contains("cloud.platform=gcp_kubernetes_engine")
        )
        try await server.close()
    }

    @Test("azure reads the machine, and the tags that are asked for")
    func azure() async throws {
        let server = try await Self.server([
            "/metadata/instance/compute":
                #"{"location":"west","subscriptionId":"s","vmId":"v","name":"n","vmSize":"D2","vmScaleSetName":"","resourceGroupName":"g","tagsList":[{"name":"team","value":"x"},{"name":"cost","value":"y"}]}"#
        ])
        var probe = Self.probe([:])
        probe.azureEndpoint = server.url
        #expect(
            try await Self.detect("{detectors: [azure], azure: {tags: ['^team$']}}", probe) == [
                "cloud.provider=azure", "cloud.platform=azure_vm", "cloud.region=west", "cloud.account.id=s",
                "host.id=v",
                "azure.vm.name=n", "azure.vm.size=D2", "azure.resourcegroup.name=g", "host.name=n",
                "azure.tag.team=x",
            ])
        try await server.close()
    }

    // MARK: - Kubernetes

    /// A folder with a token, as a pod has it.
    private static func account() throws -> URL {
        let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        let folder = root.appending(path: "var/run/secrets/kubernetes.io/serviceaccount")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try "t0ken\n".write(to: folder.appending(path: "token"), atomically: true, encoding: .utf8)
        return root
    }

    private static func inCluster(_ server: StandInServer, _ root: URL, _ more: [String: String] = [:])
        -> Probe
    {
        let variables = [
            "KUBERNETES_SERVICE_HOST": "http://127.0.0.1", "KUBERNETES_SERVICE_PORT": "\(server.port)",
        ]
        return probe(variables.merging(more) { $1 }, root: root.path)
    }

    @Test("the node, the version and the infrastructure come from the API server")
    func kubernetes() async throws {
        let server = try await Self.server([
            "/api/v1/nodes/n1": #"{"metadata":{"uid":"u1"}}"#,
            "/api/v1/namespaces/kube-system": #"{"metadata":{"uid":"c1"}}"#,
            "/version": #"{"gitVersion":"v1.30.0-eks-1"}"#,
            "/apis/config.openshift.io/v1/infrastructures/cluster":
                #"{"status":{"infrastructureName":"ocp","platform":"AWS","platformStatus":{"type":"AWS","aws":{"region":"us-east-1"}}}}"#,
        ])
        let root = try Self.account()
        defer { try? FileManager.default.removeItem(at: root) }
        let probe = Self.inCluster(server, root, ["K8S_NODE_NAME": "n1"])
        #expect(
            try await Self.detect("detectors: [k8snode]", probe)
                == ["k8s.node.name=n1", "k8s.node.uid=u1", "k8s.cluster.uid=c1"])
        #expect(server.requests.allSatisfy { $0.headers["authorization"] == "Bearer t0ken" })
        #expect(
            try await Self.detect("detectors: [eks]", probe) == [
                "cloud.provider=aws", "cloud.platform=aws_eks",
            ])
        #expect(
            try await Self.detect("detectors: [openshift]", probe) == [
                "k8s.cluster.name=ocp", "cloud.provider=aws", "cloud.platform=aws_openshift",
                "cloud.region=us-east-1",
            ])
        await #expect(throws: ComponentError.self) {
            _ = try await Self.detect("{detectors: [k8s_api], timeout: 10ms}", Self.inCluster(server, root))
        }
        try await server.close()
    }

    // MARK: - All together

    @Test("the first detector in the list wins; resources keep their own when nothing is overridden")
    func merging() async throws {
        let yaml = "{detectors: [env, system], system: {hostname_sources: [os]}"
        let probe = Self.probe(["OTEL_RESOURCE_ATTRIBUTES": "host.name=mine,team=x"])
        #expect(
            try await Self.detect(yaml + "}", probe) == ["host.name=mine", "team=x", "os.type=linux"])
        let request =
            #"{"resourceSpans":[{"resource":{"attributes":[{"key":"team","value":{"stringValue":"sender"}}]}}]}"#
        for (override, expected) in [("true", "x"), ("false", "sender")] {
            let (config, _) = Self.read(yaml + ", override: \(override)}")
            let resource = DetectedResource(config, probe, logger: makeSilentLogger())
            try await resource.start()
            let edited = try EditedRequest(request, .traces, DetectionTransform(config, resource)).json
            #expect(edited.contains(#"{"key":"team","value":{"stringValue":"\#(expected)"}}"#), "\(edited)")
            #expect(edited.contains(#"{"key":"host.name","value":{"stringValue":"mine"}}"#), "\(edited)")
        }
    }

    @Test(
        "configurations that are not valid are refused",
        arguments: [
            ("detectors: [nowhere]", "invalid detector key: nowhere"),
            ("detectors: [consul]", "invalid detector key: consul; it is not supported yet"),
            ("system: {hostname_sources: [guess]}", "invalid hostname source: guess"),
            ("system: {resource_attributes: {host.nam: {enabled: true}}}", "unknown key \"host.nam\""),
            ("ec2: {tags: [a]}", "not supported yet"), ("azure: {tags: ['(']}", "is no regular expression"),
        ])
    func refused(yaml: String, expected: String) {
        #expect(Self.read(yaml).1.render().contains(expected), "\(Self.read(yaml).1.render())")
    }
}
