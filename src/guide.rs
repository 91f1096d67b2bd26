//! The guide: a chapter for each task, from an echo to tests on a simulated network.
//!
//! [Getting started]: getting_started
//! [Protocols and callbacks]: protocols
//! [Writing]: writing
//! [Closing connections]: closing
//! [Factories and shared state]: factories
//! [Lines]: lines
//! [A chat server]: chat
//! [Wrapping protocols]: wrapping
//! [Endpoints and ports]: endpoints
//! [Clients]: clients
//! [Staying connected]: staying_connected
//! [Requests and replies]: requests
//! [Behind a proxy]: proxies
//! [TLS]: tls
//! [Certificates]: certificates
//! [Timers]: timers
//! [Threads and blocking work]: threads
//! [Reaching a factory from outside]: outside
//! [Fairness and long callbacks]: fairness
//! [Latency]: latency
//! [Embedding in another loop]: embedding
//! [Several cores]: shards
//! [Backpressure]: backpressure
//! [Slow consumers and memory limits]: slow_consumers
//! [Timeouts]: timeouts
//! [Connection limits]: connection_limits
//! [Rate limits]: rate_limits
//! [Errors and panics]: errors
//! [Metrics and logging]: metrics
//! [Inspection]: inspection
//! [Graceful shutdown]: shutdown
//! [Running as a service]: service
//! [Restarting without downtime]: restart
//! [Testing a protocol]: testing
//! [Testing a client]: testing_clients
//! [Testing with transcripts]: transcripts
//! [Testing on a simulated network]: simulation
#![doc = include_str!("../docs/guide/README.md")]

// The guide, `docs/guide`, as a module of the documentation; its listings are doc tests. Links
// between chapters point to files, and here to modules: of two definitions of a link the first one
// counts, and those of a chapter are at its end.

macro_rules! chapters {
    ($($name:ident $title:literal $file:literal)*) => {
        modules! {
            concat!($("[", $title, "]: ", stringify!($name), "\n",)* "\n");
            $($name $file)*
        }
    };
}

macro_rules! modules {
    ($links:expr; $($name:ident $file:literal)*) => {
        $(
            #[doc = $links]
            #[doc = include_str!(concat!("../docs/guide/", $file))]
            pub mod $name {}
        )*
    };
}

chapters! {
    getting_started "Getting started" "getting-started.md"
    protocols "Protocols and callbacks" "protocols.md"
    writing "Writing" "writing.md"
    closing "Closing connections" "closing.md"
    factories "Factories and shared state" "factories.md"
    lines "Lines" "lines.md"
    chat "A chat server" "chat.md"
    wrapping "Wrapping protocols" "wrapping.md"
    endpoints "Endpoints and ports" "endpoints.md"
    clients "Clients" "clients.md"
    staying_connected "Staying connected" "staying-connected.md"
    requests "Requests and replies" "requests.md"
    proxies "Behind a proxy" "proxies.md"
    tls "TLS" "tls.md"
    certificates "Certificates" "certificates.md"
    timers "Timers" "timers.md"
    threads "Threads and blocking work" "threads.md"
    outside "Reaching a factory from outside" "outside.md"
    fairness "Fairness and long callbacks" "fairness.md"
    latency "Latency" "latency.md"
    embedding "Embedding in another loop" "embedding.md"
    shards "Several cores" "shards.md"
    backpressure "Backpressure" "backpressure.md"
    slow_consumers "Slow consumers and memory limits" "slow-consumers.md"
    timeouts "Timeouts" "timeouts.md"
    connection_limits "Connection limits" "connection-limits.md"
    rate_limits "Rate limits" "rate-limits.md"
    errors "Errors and panics" "errors.md"
    metrics "Metrics and logging" "metrics.md"
    inspection "Inspection" "inspection.md"
    shutdown "Graceful shutdown" "shutdown.md"
    service "Running as a service" "service.md"
    restart "Restarting without downtime" "restart.md"
    testing "Testing a protocol" "testing.md"
    testing_clients "Testing a client" "testing-clients.md"
    transcripts "Testing with transcripts" "transcripts.md"
    simulation "Testing on a simulated network" "simulation.md"
}
