package main

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strongroom/cache"
	"strongroom/hsm"
	"strongroom/kmip/server"
	"strongroom/store"
	"strongroom/store/entropy"
)

// What there is to know of the server. docs/operations.md has the same list, for who watches it.
var (
	buildInfo = described("build_info", "The program: always 1.", "version", "goversion")

	operationsTotal   = described("operations_total", "Operations that were decided, by operation and result.", "operation", "result")
	operationSeconds  = described("operation_duration_seconds", "Time from when an operation's turn came to its answer, by operation.", "operation")
	failuresTotal     = described("operation_failures_total", "Operations that failed, by result reason.", "reason")
	connectionRefused = described("connections_refused_total", "Connections that were refused, by cause.", "cause")
	commitSize        = described("store_commit_size", "Changes of the database that were committed together.")
	commitSeconds     = described("store_commit_duration_seconds", "Time that the transactions of the database took.")
	sealSlots         = described("seal_slots", "Root key slots, by state.", "state")

	serverSeries = []series[server.Counts]{
		of("operations_undone_total", "Operations of batches that were undone.", func(n *server.Counts) any { return n.Undone }),
		of("key_rotations_total", "Keys that were due, and that the server rotated or tried to.", func(n *server.Counts) any { return n.Rotations }),
		of("key_rotation_failures_total", "Keys that were due and could not be rotated.", func(n *server.Counts) any { return n.RotationsFailed }),
		of("messages_total", "Messages that were read.", func(n *server.Counts) any { return n.Messages }),
		of("messages_refused_total", "Messages that were refused as a whole.", func(n *server.Counts) any { return n.MessagesRefused }),
		of("messages_rate_limited_total", "Messages that were refused for the rate of their identity.", func(n *server.Counts) any { return n.RateLimited }),
		of("messages_in_flight", "Messages that are worked on.", func(n *server.Counts) any { return n.InFlight }),
		of("messages_queued", "Messages that wait for their turn.", func(n *server.Counts) any { return n.Queued }),
		of("connections", "Connections of clients that are known.", func(n *server.Counts) any { return n.Connections }),
		of("connections_handshaking", "Connections that have not shaken hands.", func(n *server.Counts) any { return n.Strangers }),
		of("connections_accepted_total", "Connections that were accepted, before anything is known of the client.", func(n *server.Counts) any { return n.Accepted }),
		of("asynchronous_operations", "Operations that are performed later, or wait to be polled for.", func(n *server.Counts) any { return n.Asynchronous }),
		of("asynchronous_operations_bytes", "Memory that these take.", func(n *server.Counts) any { return n.AsynchronousBytes }),
		of("panics_total", "Bugs that ended a connection.", func(n *server.Counts) any { return n.Panics }),
	}
	limitSeries = []series[server.Limits]{
		of("connections_limit", "Connections that are admitted at most.", func(l *server.Limits) any { return l.Connections }),
		of("messages_in_flight_limit", "Messages that are worked on at once at most.", func(l *server.Limits) any { return l.RequestsInFlight }),
		of("asynchronous_operations_limit", "Asynchronous operations that there are at most.", func(l *server.Limits) any { return l.AsynchronousOperations }),
	}
	gateSeries = []series[server.Gate]{
		of("keys_locked", "Whether the server's own keys are locked, so that nobody is let in.", func(g *server.Gate) any { return g.Locked() }),
		of("certificate_expiry_timestamp_seconds", "When the server's certificate expires.", func(g *server.Gate) any { return g.Expires() }),
	}
	auditSeries = []series[server.AuditCounts]{
		of("audit_lines_total", "Lines of the audit.", func(n *server.AuditCounts) any { return n.Lines }),
		of("audit_queue_bytes", "Lines of the audit that wait to be written.", func(n *server.AuditCounts) any { return n.Queued }),
		of("audit_stuck", "Whether the audit file cannot be written, so that requests are held back.", func(n *server.AuditCounts) any { return n.Stuck }),
	}
	cacheSeries = []series[cache.Counts]{
		of("cache_keys", "Unwrapped keys in memory.", func(n *cache.Counts) any { return n.Keys }),
		of("cache_hits_total", "Uses of a key that was unwrapped already.", func(n *cache.Counts) any { return n.Hits }),
		of("cache_misses_total", "Uses of a key that had to be unwrapped, or waited for by several.", func(n *cache.Counts) any { return n.Misses }),
		of("cache_unwraps_total", "Keys that were unwrapped, or tried to be.", func(n *cache.Counts) any { return n.Loads }),
		of("cache_unwrap_failures_total", "Keys that could not be unwrapped.", func(n *cache.Counts) any { return n.Failed }),
		of("cache_evictions_total", "Unwrapped keys that were forgotten for want of room.", func(n *cache.Counts) any { return n.Evicted }),
	}
	storeSeries = []series[store.Counts]{
		of("store_objects_created_total", "Objects of the database that were made.", func(n *store.Counts) any { return n.Created }),
		of("store_changes_waiting", "Changes of the database that wait for their transaction.", func(n *store.Counts) any { return n.Waiting }),
		of("store_commit_failures_total", "Transactions of the database that were not committed.", func(n *store.Counts) any { return n.Failed }),
		of("store_memory_hits_total", "Objects that were looked up and in memory.", func(n *store.Counts) any { return n.Found }),
		of("store_memory_misses_total", "Objects that were looked up in the database.", func(n *store.Counts) any { return n.Sought }),
		of("store_memory_bytes", "Objects in memory, about.", func(n *store.Counts) any { return n.Memory }),
	}
	entropySeries = []series[entropy.Counts]{
		of("entropy_draws_total", "Draws of random bytes of the token.", func(n *entropy.Counts) any { return n.Draws }),
		of("entropy_failures_total", "Draws for which the token gave no random bytes.", func(n *entropy.Counts) any { return n.Failed }),
		of("entropy_refusals_total", "Draws for which the token gave zeros, or what it had given before.", func(n *entropy.Counts) any { return n.Refused }),
	}
	sealSeries = []series[sealCounts]{
		of("sealed", "Whether the root key is not in memory, so that no operation is performed.", func(n *sealCounts) any { return n.Sealed }),
		of("seal_healthy", "Whether the active slot could be opened when that was tried last.", func(n *sealCounts) any { return n.Healthy }),
		of("seal_health_checks_total", "Proofs that the active slot still opens.", func(n *sealCounts) any { return n.Checks }),
		of("seal_health_check_failures_total", "Proofs that failed.", func(n *sealCounts) any { return n.ChecksFailed }),
		of("seal_health_check_duration_seconds", "Time that the last proof took.", func(n *sealCounts) any { return since(n.Checked, n.Took) }),
		of("seal_health_check_timestamp_seconds", "When that was.", func(n *sealCounts) any { return n.Checked }),
		of("seal_generation", "Generation of the table of root key slots.", func(n *sealCounts) any { return n.Generation }),
		of("seal_active_slot", "Number of the active root key slot.", func(n *sealCounts) any { return n.Active }),
		of("seal_active_slot_generation", "Generation that the active root key slot was made in.", func(n *sealCounts) any { return n.ActiveGeneration }),
		of("seal_rewrap_running", "Whether rows are moved to the present protector.", func(n *sealCounts) any { return n.Rewrap.Running }),
		of("seal_rewrap_remaining", "Rows that the last rewrap has not looked at.", func(n *sealCounts) any { return n.Rewrap.Total - n.Rewrap.Done }),
		of("seal_rewrap_failed", "Whether the last rewrap ended with an error.", func(n *sealCounts) any { return n.Rewrap.Error != "" }),
	}
	slotSeries = []series[hsm.SlotCounts]{
		of("hsm_up", "Whether the server is logged in at the token, and its last health check did not fail.", func(n *hsm.SlotCounts) any { return n.Up }, "slot"),
		of("hsm_breaker_open", "Whether the last attempt to connect failed, so that requests fail at once until the next.", func(n *hsm.SlotCounts) any { return n.Broken }, "slot"),
		of("hsm_pin_refused", "Whether the PIN was refused, and is not tried again.", func(n *hsm.SlotCounts) any { return n.PINRefused }, "slot"),
		of("hsm_health_checks_total", "Health checks of the token.", func(n *hsm.SlotCounts) any { return n.Checks }, "slot"),
		of("hsm_health_check_failures_total", "Health checks that failed.", func(n *hsm.SlotCounts) any { return n.ChecksFailed }, "slot"),
		of("hsm_health_check_duration_seconds", "Time that the last health check took, with the wait for a session.", func(n *hsm.SlotCounts) any { return since(n.Checked, n.Took) }, "slot"),
		of("hsm_health_check_timestamp_seconds", "When that was.", func(n *hsm.SlotCounts) any { return n.Checked }, "slot"),
		of("hsm_sessions_in_use", "Sessions with the token that are in use.", func(n *hsm.SlotCounts) any { return n.Sessions }, "slot"),
		of("hsm_sessions_limit", "Sessions with the token that are used at once at most.", func(n *hsm.SlotCounts) any { return n.MostSessions }, "slot"),
		of("hsm_busy_total", "Operations that waited too long for a session or for the token.", func(n *hsm.SlotCounts) any { return n.Busy }, "slot"),
		of("hsm_logins_total", "Logins at the token.", func(n *hsm.SlotCounts) any { return n.Logins }, "slot"),
		of("hsm_login_failures_total", "Logins that failed.", func(n *hsm.SlotCounts) any { return n.LoginsFailed }, "slot"),
		of("hsm_losses_total", "How often the connection to the token was lost.", func(n *hsm.SlotCounts) any { return n.Losses }, "slot"),
		of("hsm_recoveries_total", "How often it was made again.", func(n *hsm.SlotCounts) any { return n.Recoveries }, "slot"),
	}
	workerSeries = []series[hsm.ModuleCounts]{
		of("hsm_worker_restarts_total", "Worker processes that were started in place of one that had ended.", func(n *hsm.ModuleCounts) any { return max(n.WorkerStarts, 1) - 1 }, "library"),
	}
	moduleSeries = []series[hsm.ModuleCounts]{
		of("hsm_symmetric_calls_limit", "Operations with symmetric keys that run in the module at once at most.", func(n *hsm.ModuleCounts) any { return n.SymmetricCalls }, "library"),
		of("hsm_private_calls_limit", "Operations with private keys that run in the module at once at most.", func(n *hsm.ModuleCounts) any { return n.PrivateCalls }, "library"),
	}
)

// collectServer sends what concerns requests.
func collectServer(ch chan<- prometheus.Metric, s *server.Server) {
	n := s.Counts()
	collect(ch, serverSeries, n)
	collect(ch, limitSeries, &s.Limits)
	for i := range n.Operations {
		collectOperation(ch, &n.Operations[i])
	}
	for _, f := range n.Failures {
		ch <- prometheus.MustNewConstMetric(failuresTotal, prometheus.CounterValue, float64(f.Count), f.Reason.String())
	}
	for cause, count := range n.ConnectionsRefused {
		ch <- prometheus.MustNewConstMetric(connectionRefused, prometheus.CounterValue, float64(count), server.Cause(cause).String())
	}
}

// collectOperation sends what there is of one operation; those that nobody asked for have no durations.
func collectOperation(ch chan<- prometheus.Metric, n *server.OperationCounts) {
	name := "other"
	if n.Operation != 0 {
		name = n.Operation.String()
	}
	ch <- prometheus.MustNewConstMetric(operationsTotal, prometheus.CounterValue, float64(n.Count-n.Failed), name, "success")
	ch <- prometheus.MustNewConstMetric(operationsTotal, prometheus.CounterValue, float64(n.Failed), name, "failed")
	if n.Count == 0 {
		return
	}
	buckets, sum := map[float64]uint64{}, uint64(0)
	for class, bound := range server.DurationBounds {
		sum += n.Classes[class]
		buckets[bound.Seconds()] = sum
	}
	ch <- prometheus.MustNewConstHistogram(operationSeconds, n.Count, n.Duration.Seconds(), buckets, name)
}

// collectCommits sends what there is of transactions.
func collectCommits(ch chan<- prometheus.Metric, n *store.Counts) {
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, commits := range n.CommitSizes {
		sum += commits
		buckets[float64(n.CommitSizes.MostChanges(i))] = sum
	}
	ch <- prometheus.MustNewConstHistogram(commitSize, n.Commits, float64(n.Changes), buckets)
	ch <- prometheus.MustNewConstSummary(commitSeconds, n.Commits, n.CommitTime.Seconds(), nil)
}

// collectTokens sends what concerns tokens and modules.
func collectTokens(ch chan<- prometheus.Metric, n hsm.Counts) {
	for i := range n.Slots {
		collect(ch, slotSeries, &n.Slots[i], fmt.Sprint(n.Slots[i].Number))
	}
	for i := range n.Modules {
		collect(ch, moduleSeries, &n.Modules[i], n.Modules[i].Library)
		if n.Modules[i].Isolated {
			collect(ch, workerSeries, &n.Modules[i], n.Modules[i].Library)
		}
	}
}

// since is a duration that was measured at a time; nothing before that.
func since(at time.Time, took time.Duration) any {
	if at.IsZero() {
		return nil
	}
	return took
}
