import Foundation
import NIOCore
import Testing

@testable import Kubernetes
@testable import PrometheusReceiver

@Suite struct FileDiscoveryTests {
    private func folder() throws -> String {
        let path = NSTemporaryDirectory() + "sluice-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test func filesInBothFormatsAreRead() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write(#"[{"targets": ["a:1", "b:2"], "labels": {"env": "prod"}}]"#, folder + "/a.json")
        try write("- targets: [c:3]\n- targets:\n  - d:4\n  labels:\n    n: 5\n", folder + "/b.yml")
        try write("[]", folder + "/c.json")
        try write("ignored", folder + "/d.txt")
        let found = FileDiscovery.look([folder + "/*.json", folder + "/*.yml"], known: [:])
        #expect(found.paths.count == 3)
        let groups = found.changed.sorted { $0.key < $1.key }.map { $0.value.groups }
        #expect(groups[0]?.map { $0.targets.map { $0["__address__"] } } == [["a:1", "b:2"]])
        #expect(groups[0]?[0].labels["env"] == "prod")
        #expect(groups[0]?[0].labels["__meta_filepath"] == folder + "/a.json")
        #expect(groups[1]?.count == 2 && groups[1]?[1].labels["n"] == "5" && groups[2] == [])
    }

    /// Only what changed is read again; a broken file says what is wrong in it.
    @Test func changesAndBrokenFiles() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("- targets: [a:1]\n", folder + "/a.yaml")
        let first = FileDiscovery.look([folder + "/*.yaml"], known: [:])
        let known = first.changed.mapValues(\.stamp)
        #expect(FileDiscovery.look([folder + "/*.yaml"], known: known).changed.isEmpty)
        for broken in [
            "- targets: [a:1", "targets: [a]", "- targets: ['http://a']", "- tragets: [a]", "{", "- 1\n",
        ] {
            try write(broken, folder + "/a.yaml")
            let file = FileDiscovery.look([folder + "/*.yaml"], known: known).changed.values.first
            #expect(file?.groups == nil && file?.problem?.contains("a.yaml") == true, "\(broken)")
        }
        try FileManager.default.removeItem(atPath: folder + "/a.yaml")
        #expect(FileDiscovery.look([folder + "/*.yaml", "/nowhere/a.json"], known: known).paths.isEmpty)
    }
}

@Suite struct PodTests {
    static let pod = """
        {"metadata":{"name":"web-1","namespace":"shop","uid":"u-1","resourceVersion":"77",
        "labels":{"app.kubernetes.io/name":"web"},"annotations":{"prometheus.io/scrape":"true"},
        "ownerReferences":[{"kind":"ReplicaSet","name":"web","controller":true},{"kind":"X","name":"y"}]},
        "spec":{"nodeName":"n1","initContainers":[{"name":"init","image":"i:1"}],
        "containers":[{"name":"app","image":"a:1","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},
        {"containerPort":9090}],"env":[{"name":"x","value":"\\u00fc"}]},{"name":"side","image":"s:1"}]},
        "status":{"phase":"Running","podIP":"10.1.2.3","hostIP":"10.0.0.1",
        "conditions":[{"type":"Initialized","status":"False"},{"type":"Ready","status":"True"}],
        "containerStatuses":[{"name":"app","containerID":"containerd://abc","ready":true}]}}
        """

    private func event(_ text: String) throws -> KubernetesEvent<Pod> {
        try KubernetesEvent.read(ByteBuffer(string: text))
    }

    /// Every label that relabelling of pods is written against.
    @Test func podsBecomeTargets() throws {
        let group = try #require(try event("{\"type\":\"ADDED\",\"object\":\(Self.pod)}").object?.group)
        #expect(group.source == "pod/shop/web-1")
        let prefix = "__meta_kubernetes_"
        let common = Dictionary(uniqueKeysWithValues: group.labels.labels.map { ($0.name, $0.value) })
        #expect(
            common == [
                prefix + "namespace": "shop", prefix + "pod_name": "web-1", prefix + "pod_ip": "10.1.2.3",
                prefix + "pod_ready": "true", prefix + "pod_phase": "Running", prefix + "pod_node_name": "n1",
                prefix + "pod_host_ip": "10.0.0.1", prefix + "pod_uid": "u-1",
                prefix + "pod_controller_kind": "ReplicaSet", prefix + "pod_controller_name": "web",
                prefix + "pod_label_app_kubernetes_io_name": "web",
                prefix + "pod_labelpresent_app_kubernetes_io_name": "true",
                prefix + "pod_annotation_prometheus_io_scrape": "true",
                prefix + "pod_annotationpresent_prometheus_io_scrape": "true",
            ])
        #expect(
            group.targets.map { $0["__address__"] } == [
                "10.1.2.3:8080", "10.1.2.3:9090", "10.1.2.3", "10.1.2.3",
            ])
        let first = Dictionary(uniqueKeysWithValues: group.targets[0].labels.map { ($0.name, $0.value) })
        #expect(
            first == [
                "__address__": "10.1.2.3:8080", prefix + "pod_container_name": "app",
                prefix + "pod_container_image": "a:1", prefix + "pod_container_id": "containerd://abc",
                prefix + "pod_container_init": "false", prefix + "pod_container_port_name": "http",
                prefix + "pod_container_port_number": "8080", prefix + "pod_container_port_protocol": "TCP",
            ])
        #expect(group.targets[3][prefix + "pod_container_init"] == "true")
    }

    @Test func podsWithoutAnAddressHaveNoTargets() throws {
        let group = try event(
            "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}}"
        ).object?.group
        #expect(group?.targets == [] && group?.source == "pod/b/a")
    }

    @Test func eventsAreTold() throws {
        #expect(try event("{\"type\":\"DELETED\",\"object\":\(Self.pod)}").kind == .deleted)
        let bookmark = try event(
            "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"99\",\"annotations\":null}}}"
        )
        #expect(bookmark.kind == .bookmark && bookmark.version == "99")
        let gone = try event(
            "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old\",\"code\":410}}"
        )
        #expect(gone.kind == .failed(code: 410, message: "too old"))
    }

    @Test func listsAreRead() throws {
        let list = try KubernetesPage<Pod>(
            ByteBuffer(
                string:
                    "{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":\"c\"},\"items\":[\(Self.pod),\(Self.pod)]}"
            ))
        #expect(list.objects.count == 2 && list.version == "5" && list.continuation == "c")
        #expect(
            try KubernetesPage<Pod>(ByteBuffer(string: "{\"items\":null,\"metadata\":{}}")).objects.isEmpty)
    }

    @Test(arguments: [
        "", "{", "[]", "{\"type\":\"ADDED\",\"object\":5}", "{\"type\":\"WHAT\",\"object\":{}}", "{} {}",
    ])
    func brokenEventsAreRefused(text: String) {
        #expect(throws: KubernetesProblem.self) { try event(text) }
    }
}
