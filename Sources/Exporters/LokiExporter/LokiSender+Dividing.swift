internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

// Pushes that Loki does not take as a whole: divided until the culprit is alone. Event loop only.

extension LokiSender {
    /// Attempts that fail for one reason before it may be the data's.
    private static let failuresMin = 2
    /// Keys of a record's metadata that are named.
    private static let keysMax = 20

    /// Nothing of a push was stored, and the answer does not say which entry is why, if any.
    func failed(
        _ push: Push, _ delivery: Delivery, _ message: String, after: TimeAmount?, mayRepeat: Bool
    ) {
        let reason = Self.reason(message)
        if let family = push.family {
            if family.reason == reason || !mayRepeat {
                return failed(push, of: family, delivery, message, after)
            }
            return wait(push, delivery, message, after)
        }
        var push = push
        push.failures = push.failureReason == reason ? push.failures + 1 : 1
        push.failureReason = reason
        if push.failures == 1 { push.storedBefore = storedPushes }
        let isSuspect = !mayRepeat || push.failures >= Self.failuresMin
        if dividesRefused, isSuspect, push.entries > 1, !dividesInVain {
            push.family = PushFamily(push, reason: reason, mayRepeat: mayRepeat)
            return halve(push, delivery) { preconditionFailure("a push of several entries has halves") }
        }
        // Alone, while others are stored.
        let isCulprit = push.entries == 1 && isSuspect && storedPushes > push.storedBefore
        if mayRepeat, !(dividesRefused && isCulprit) { return wait(push, delivery, message, after) }
        drop(push, delivery, message)
        goOn(delivery)
    }

    private func wait(_ push: Push, _ delivery: Delivery, _ message: String, _ after: TimeAmount?) {
        delivery.hold(push)
        delivery.stop(message, after: after)
        goOn(delivery)
    }

    /// A part failed as the whole did.
    private func failed(
        _ push: Push, of family: PushFamily, _ delivery: Delivery, _ message: String, _ after: TimeAmount?
    ) {
        family.refusals += 1
        if push.entries > 1, family.mayDivide {
            return halve(push, delivery) { preconditionFailure("a push of several entries has halves") }
        }
        if family.isStored {
            drop(push, delivery, message)
        } else if push.entries > 1 {
            giveUp(family, delivery, message, after)
        } else {
            family.alone.append((push, message))
            family.partsLeft -= 1
            if family.partsLeft == 0 { giveUp(family, delivery, message, after) }
        }
        goOn(delivery)
    }

    /// A part has its end.
    func ended(_ push: Push, _ delivery: Delivery, isStored: Bool) {
        guard let family = push.family else { return }
        family.partsLeft -= 1
        guard isStored || family.partsLeft == 0 else { return }
        if isStored { family.isStored = true }
        let alone = family.alone
        family.alone = []
        for (push, message) in alone {
            var push = push
            push.family = nil
            drop(push, delivery, message)
        }
    }

    /// No part was taken: it is not for some of the data.
    private func giveUp(
        _ family: PushFamily, _ delivery: Delivery, _ message: String, _ after: TimeAmount?
    ) {
        dividesInVain = true
        delivery.remove(family)
        family.alone = []
        if family.mayRepeat {
            delivery.hold(family.whole)
            delivery.stop(message, after: after)
        } else {
            drop(family.whole, delivery, message)
        }
    }

    /// Gives entries up that Loki does not take; of one alone the log says whose it is.
    private func drop(_ push: Push, _ delivery: Delivery, _ message: String) {
        settle(push, delivery, rejected: push.entries, message)
        counters.rejected.add()
        guard push.entries == 1 else { return report("whole", message, advice: nil, push.entries) }
        let (labels, keys) = PushSplitter.firstEntry(push, keysMax: Self.keysMax)
        report(
            "alone \(labels)", message, advice: "Loki does not take this record, whatever it is sent with", 1,
            [
                "stream": "\(labels.prefix(512))",
                "keys": "\(keys.map { String($0.prefix(64)) }.joined(separator: ", "))",
            ])
    }

    /// What two answers have in common that are for one reason: the text without its numbers.
    private static func reason(_ message: String) -> String {
        String(message.prefix(300).filter { !$0.isNumber })
    }
}
