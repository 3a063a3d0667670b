internal import OTLP
internal import Synchronization

/// What is known of the cluster. Any thread.
package final class PodIndex: Sendable {
    fileprivate struct State {
        var pods: [String: PodRecord] = [:]
        /// By uid, with what they were indexed as.
        var byUID: [String: PodRecord] = [:]
        var namespaces: [String: ObjectRecord] = [:]
        var nodes: [String: ObjectRecord] = [:]
        /// Owners of pods, by uid.
        var owners: [String: ObjectRecord] = [:]
        /// Deleted pods, until their time is over.
        var leaving: Set<String> = []
    }

    private let state = Mutex(State())

    package init() {}

    /// How many identifiers lead to a pod.
    var tableSize: Int { state.withLock { $0.pods.count } }

    // MARK: - Looking up

    func pod(_ identifier: String) -> PodRecord? { state.withLock { $0.pods[identifier] } }
    func namespace(_ name: String) -> ObjectRecord? { state.withLock { $0.namespaces[name] } }
    func node(_ name: String) -> ObjectRecord? { state.withLock { $0.nodes[name] } }
    func owner(_ uid: String) -> ObjectRecord? { state.withLock { $0.owners[uid] } }

    // MARK: - Changing

    /// Whether the pod is new.
    func set(_ pod: PodRecord) -> Bool {
        state.withLock { state in
            state.leaving.remove(pod.uid)
            let known = state.byUID.updateValue(pod, forKey: pod.uid)
            if let known { state.forget(known, except: pod.identifiers) }
            for identifier in pod.identifiers {
                // Of two pods that had one address after each other the later one counts.
                if let other = state.pods[identifier], other.uid != pod.uid, other.startTime > pod.startTime {
                    continue
                }
                state.pods[identifier] = pod
            }
            return known == nil
        }
    }

    /// Replaces all pods by those of a list; the others are gone already.
    func keepOnly(_ uids: Set<String>) {
        state.withLock { state in
            for (uid, pod) in state.byUID where !uids.contains(uid) && !state.leaving.contains(uid) {
                state.byUID[uid] = nil
                state.forget(pod, except: [])
            }
        }
    }

    /// Says that a pod was deleted; it stays until `remove`.
    func leave(_ uid: String) -> Bool {
        state.withLock { state in
            guard state.byUID[uid] != nil else { return false }
            return state.leaving.insert(uid).inserted
        }
    }

    /// Removes a deleted pod, unless it has come back.
    func remove(_ uid: String) {
        state.withLock { state in
            guard state.leaving.remove(uid) != nil, let pod = state.byUID.removeValue(forKey: uid) else {
                return
            }
            state.forget(pod, except: [])
        }
    }

    func setNamespace(_ name: String, _ record: ObjectRecord?) {
        state.withLock { $0.namespaces[name] = record }
    }
    func setNode(_ name: String, _ record: ObjectRecord?) { state.withLock { $0.nodes[name] = record } }
    func setOwner(_ uid: String, _ record: ObjectRecord?) { state.withLock { $0.owners[uid] = record } }
}

extension PodIndex.State {
    fileprivate mutating func forget(_ pod: PodRecord, except kept: [String]) {
        for identifier in pod.identifiers where !kept.contains(identifier) && pods[identifier]?.uid == pod.uid
        {
            pods[identifier] = nil
        }
    }
}
