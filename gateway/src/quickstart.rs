//! `crossdock quickstart`: routing at work without any file.

mod witness;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;
use crossdock_framework::{log::AccessLog, status::Class};
use crossdock_xds::bootstrap::{self, Format};

use self::witness::{Seen, Witness};
use crate::{
    run::{CannotStart, Gateway},
    sample::{
        self, Ports, Service, Told,
        calls::Caller,
        framed, grpc, table, web,
        wire::{Call, Wire},
    },
    server::{Order, ProcessSettings},
};

const CONFIG: &str = include_str!("quickstart/config.yaml");

const ORDERS: &str = "com.acme.OrderService";
const STOCK: &str = "com.acme.StockService";

/// The host that callers of the web and of the chat name, and what they ask it for.
const HOST: &str = "localhost";
const PAGE: &str = "/hello";
const CHAT: &str = "/com.acme.Chat/Talk";

/// Calls that show the split by weight: enough that v2 is all but certain to get one.
const SPLIT: usize = 100;

/// Prints the configuration.
pub(crate) fn print_config() -> ExitCode {
    print!("{CONFIG}");
    ExitCode::SUCCESS
}

/// Prints the interface of the gRPC service.
pub(crate) fn print_proto() -> ExitCode {
    print!("{}", grpc::PROTO);
    ExitCode::SUCCESS
}

/// Starts the services and the gateway, makes the calls, prints the table, and serves on unless
/// `once`.
pub(crate) async fn run(settings: ProcessSettings, once: bool) -> ExitCode {
    match start(settings).await {
        Ok((gateway, witness, ports)) => show(gateway, &witness, ports, once).await,
        Err(lines) => crate::refuse(&lines),
    }
}

async fn start(settings: ProcessSettings) -> Result<(Gateway, Witness, Ports), Vec<String>> {
    let ports = services()
        .await
        .map_err(|error| vec![format!("a sample service cannot start: {error}")])?;
    let config = sample::place(CONFIG, &ports);
    let loaded = bootstrap::parse("quickstart", &config, Format::Yaml, &crate::file_options())
        .map_err(|rejected| {
            rejected
                .problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })?;
    let witness = Witness::default();
    let log: Arc<dyn AccessLog> = Arc::new(witness.clone());
    let gateway = Gateway::start_watched(loaded, settings, Some(log))
        .await
        .map_err(|CannotStart(lines)| lines)?;
    Ok((gateway, witness, ports))
}

async fn services() -> std::io::Result<Ports> {
    let [v1, v2] = [|| Service::steady("v1"), || Service::steady("v2")];
    Ok(vec![
        ("20881", framed::start::<Dubbo>(v1()).await?),
        ("20882", framed::start::<Dubbo>(v2()).await?),
        ("12201", framed::start::<Bolt>(v1()).await?),
        ("12202", framed::start::<Bolt>(v2()).await?),
        ("8081", web::start(v1()).await?),
        ("8082", web::start(v2()).await?),
        ("50051", grpc::start(v1()).await?),
    ])
}

async fn show(gateway: Gateway, witness: &Witness, ports: Ports, once: bool) -> ExitCode {
    let Some(address) = gateway.bound().first().map(|listener| listener.address) else {
        return crate::refuse(&["the gateway has no listener".to_owned()]);
    };
    let admin = gateway.admin_address();
    let orders = gateway.orders();
    let serving = tokio::spawn(gateway.serve());
    let result = make_calls(address, witness).await;
    let well = match result {
        Ok(shown) => print_table(&shown),
        Err(text) => {
            eprintln!("error: {text}");
            false
        }
    };
    if !once {
        print_hints(address, admin, &ports);
    } else if orders.send(Order::Quit).await.is_err() {
        return ExitCode::FAILURE;
    }
    match serving.await {
        Ok(code) if well => code,
        _ => ExitCode::FAILURE,
    }
}

/// A row of the table: what the gateway saw, and how often.
struct Row {
    seen: Seen,
    note: String,
    expected: bool,
}

async fn make_calls(gateway: SocketAddr, witness: &Witness) -> Result<Vec<Row>, String> {
    let mut dubbo = Caller::<Dubbo>::connect(gateway).await?;
    let mut bolt = Caller::<Bolt>::connect(gateway).await?;
    let mut web = web::Caller::connect(gateway).await?;
    let call = |service, method, header| Call {
        service,
        method,
        argument: "42",
        header,
    };
    let tester = Some(("x-user", "tester"));
    let gray = Some(("x-zone", "gray-1"));
    let mut rows = Vec::new();
    for (call, cluster) in [
        (call(ORDERS, "create", tester), "orders-v2"),
        (call(ORDERS, "cancel", None), "orders-v2"),
    ] {
        rows.push(one(&mut dubbo, witness, &call, cluster).await?);
    }
    let everyone = call(ORDERS, "create", None);
    rows.extend(split(&mut dubbo, witness, &everyone).await?);
    let gray = call(STOCK, "reserve", gray);
    rows.push(one(&mut bolt, witness, &gray, "stock-v2").await?);
    let everyone = call(STOCK, "reserve", None);
    rows.extend(split(&mut bolt, witness, &everyone).await?);
    rows.extend(web_calls(&mut web, witness).await?);
    rows.push(chat(gateway, witness).await?);
    let nobody = call("com.acme.Nobody", "x", None);
    let refused = [
        dubbo.call(&nobody).await?,
        bolt.call(&nobody).await?,
        web.get("nobody.example", PAGE, None).await?,
    ];
    for (told, seen) in refused.iter().zip(next(witness, 3).await?) {
        rows.push(Row {
            expected: !worked(told) && seen.outcome == Class::NotFound && seen.local,
            note: "refused by the gateway".into(),
            seen,
        });
    }
    Ok(rows)
}

/// Whether a service answered.
fn worked(told: &Told) -> bool {
    told.by.is_some()
}

/// Calls over HTTP.
async fn web_calls(web: &mut web::Caller, witness: &Witness) -> Result<Vec<Row>, String> {
    let tester = ("x-user", "tester");
    let told = web.get(HOST, PAGE, Some(tester)).await?;
    let seen = next(witness, 1).await?.remove(0);
    let by_header = Row {
        expected: worked(&told) && seen.cluster == "web-v2",
        note: format!("with {}: {}", tester.0, tester.1),
        seen,
    };
    let mut all_well = true;
    for _ in 0..SPLIT {
        all_well &= worked(&web.get(HOST, PAGE, None).await?);
    }
    let mut rows = vec![by_header];
    rows.extend(by_cluster(next(witness, SPLIT).await?, all_well));
    Ok(rows)
}

/// A streaming call over gRPC.
async fn chat(gateway: SocketAddr, witness: &Witness) -> Result<Row, String> {
    let mut caller = grpc::Caller::connect(gateway).await?;
    let told = caller.chat(HOST, CHAT).await?;
    let seen = next(witness, 1).await?.remove(0);
    Ok(Row {
        expected: worked(&told) && seen.outcome == Class::Ok && seen.cluster == "chat",
        note: format!("{} messages each way", grpc::MESSAGES),
        seen,
    })
}

/// One call that has to go to `cluster`.
async fn one<C: Wire>(
    caller: &mut Caller<C>,
    witness: &Witness,
    call: &Call<'_>,
    cluster: &str,
) -> Result<Row, String> {
    let told = caller.call(call).await?;
    let seen = next(witness, 1).await?.remove(0);
    let expected = worked(&told) && seen.outcome == Class::Ok && seen.cluster == cluster;
    let note = call
        .header
        .map_or_else(String::new, |(name, value)| format!("with {name}: {value}"));
    Ok(Row {
        seen,
        note,
        expected,
    })
}

/// Many equal calls: a row for each cluster that got some of them.
async fn split<C: Wire>(
    caller: &mut Caller<C>,
    witness: &Witness,
    call: &Call<'_>,
) -> Result<Vec<Row>, String> {
    let mut all_well = true;
    for _ in 0..SPLIT {
        all_well &= worked(&caller.call(call).await?);
    }
    Ok(by_cluster(next(witness, SPLIT).await?, all_well))
}

/// A row for each cluster that got some of the calls.
fn by_cluster(mut seen: Vec<Seen>, all_well: bool) -> Vec<Row> {
    seen.sort_by(|a, b| a.cluster.cmp(&b.cluster));
    let mut rows: Vec<(usize, Row)> = Vec::new();
    for seen in seen {
        let fine = all_well && seen.outcome == Class::Ok;
        match rows.last_mut() {
            Some((count, row)) if row.seen.cluster == seen.cluster => {
                *count += 1;
                row.expected &= fine;
            }
            _ => rows.push((
                1,
                Row {
                    seen,
                    note: String::new(),
                    expected: fine,
                },
            )),
        }
    }
    rows.into_iter()
        .map(|(count, row)| Row {
            note: format!("{count} of {SPLIT} calls"),
            ..row
        })
        .collect()
}

/// What the gateway saw of the last `count` calls. A call is logged right after its answer has
/// been queued, so it may be a moment later than the answer.
async fn next(witness: &Witness, count: usize) -> Result<Vec<Seen>, String> {
    let mut seen = Vec::new();
    for _ in 0..1000 {
        seen.extend(witness.take());
        if seen.len() >= count {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(format!(
        "the gateway logged {} of {count} calls",
        seen.len()
    ))
}

/// Prints the table and tells whether every call went as it should.
fn print_table(rows: &[Row]) -> bool {
    let header = [
        "protocol", "call", "route", "cluster", "endpoint", "outcome", "time", "",
    ]
    .map(String::from);
    let mut lines = vec![header];
    lines.extend(rows.iter().map(|row| {
        let seen = &row.seen;
        let outcome = match row.expected {
            true => seen.outcome.name().to_owned(),
            false => format!("{} (WRONG)", seen.outcome.name()),
        };
        let time = format!("{:.2} ms", seen.time.as_secs_f64() * 1000.0);
        let (route, cluster) = (seen.route.clone(), seen.cluster.clone());
        let endpoint = seen.endpoint.clone();
        let path = seen.path.clone();
        [
            seen.protocol.into(),
            path,
            route,
            cluster,
            endpoint,
            outcome,
            time,
            row.note.clone(),
        ]
    }));
    table::print(&lines);
    rows.iter().all(|row| row.expected)
}

fn print_hints(gateway: SocketAddr, admin: Option<SocketAddr>, ports: &[(&str, SocketAddr)]) {
    println!();
    println!("The gateway serves at {gateway}: point a Dubbo or SOFARPC consumer there, such as");
    println!("  dubbo://{gateway}/{ORDERS}?version=1.0.0        bolt://{gateway}");
    println!(
        "Its services: {}",
        ports
            .iter()
            .map(|(_, address)| address.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    println!("Over HTTP, in a browser or with");
    println!(
        "  curl -i http://{gateway}/hello                  curl -i -H 'x-user: tester' http://{gateway}/hello"
    );
    println!("  crossdock quickstart --print-proto > chat.proto");
    println!(
        "  grpcurl -plaintext -proto chat.proto -d '{{\"text\":\"hi\"}}' {gateway} com.acme.Chat/Say"
    );
    if let Some(admin) = admin {
        println!("Try:");
        println!("  curl -s 'http://{admin}/stats?filter=upstream_rq_total'");
        println!("  curl -s http://{admin}/clusters");
        println!("  curl -s http://{admin}/stats/prometheus");
    }
    println!("  crossdock quickstart --print-config > quickstart.yaml");
    println!("Ends with Ctrl-C.");
}
