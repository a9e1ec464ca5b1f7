//! `crossdock quickstart`: routing at work without any file.

mod calls;
mod samples;
mod web;
mod wire;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;
use crossdock_framework::{codec::Codec, log::AccessLog, status::Class};
use crossdock_xds::bootstrap::{self, Format, Options};

use self::{
    calls::{Caller, Seen, Witness},
    wire::Call,
};
use crate::{
    run::{CannotStart, Gateway},
    server::{Order, ProcessSettings},
};

const CONFIG: &str = include_str!("quickstart/config.yaml");

const ORDERS: &str = "com.acme.OrderService";
const STOCK: &str = "com.acme.StockService";

/// Calls that show the split by weight: enough that v2 is all but certain to get one.
const SPLIT: usize = 100;

/// Prints the configuration.
pub(crate) fn print_config() -> ExitCode {
    print!("{CONFIG}");
    ExitCode::SUCCESS
}

/// Prints the interface of the gRPC service.
pub(crate) fn print_proto() -> ExitCode {
    print!("{}", web::PROTO);
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

/// Where the services of the sample listen, in the order of the ports in the configuration.
type Ports = Vec<(&'static str, SocketAddr)>;

async fn start(settings: ProcessSettings) -> Result<(Gateway, Witness, Ports), Vec<String>> {
    let ports = services()
        .await
        .map_err(|error| vec![format!("a sample service cannot start: {error}")])?;
    let mut config = CONFIG.to_owned();
    for (configured, address) in &ports {
        // Kernel-chosen ports, so that nothing has to be free.
        config = config.replace(
            &format!("port_value: {configured}"),
            &format!("port_value: {}", address.port()),
        );
    }
    let loaded = bootstrap::parse("quickstart", &config, Format::Yaml, &Options::default())
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
    Ok(vec![
        (
            "20881",
            samples::start::<Dubbo>("v1", wire::dubbo_response).await?,
        ),
        (
            "20882",
            samples::start::<Dubbo>("v2", wire::dubbo_response).await?,
        ),
        (
            "12201",
            samples::start::<Bolt>("v1", wire::bolt_response).await?,
        ),
        (
            "12202",
            samples::start::<Bolt>("v2", wire::bolt_response).await?,
        ),
        ("8081", web::start_web("v1").await?),
        ("8082", web::start_web("v2").await?),
        ("50051", web::start_chat().await?),
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
    let connected = |error: std::io::Error| format!("cannot connect to the gateway: {error}");
    let mut dubbo = Caller::<Dubbo>::connect(gateway).await.map_err(connected)?;
    let mut bolt = Caller::<Bolt>::connect(gateway).await.map_err(connected)?;
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
        rows.push(one(&mut dubbo, witness, &call, wire::dubbo_request, cluster).await?);
    }
    let everyone = call(ORDERS, "create", None);
    rows.extend(split(&mut dubbo, witness, &everyone, wire::dubbo_request).await?);
    let gray = call(STOCK, "reserve", gray);
    rows.push(one(&mut bolt, witness, &gray, wire::bolt_request, "stock-v2").await?);
    let everyone = call(STOCK, "reserve", None);
    rows.extend(split(&mut bolt, witness, &everyone, wire::bolt_request).await?);
    rows.extend(web_calls(gateway, witness).await?);
    let nobody = call("com.acme.Nobody", "x", None);
    let mut refused = Vec::new();
    for answered in [
        dubbo.call(|id| wire::dubbo_request(id, &nobody)).await?,
        bolt.call(|id| wire::bolt_request(id, &nobody)).await?,
        web::get(gateway, "nobody.example", None).await?,
    ] {
        refused.push(answered);
    }
    for (answered, seen) in refused.into_iter().zip(next(witness, 3).await?) {
        rows.push(Row {
            expected: answered != Class::Ok && seen.outcome == Class::NotFound && seen.local,
            note: "refused by the gateway".into(),
            seen,
        });
    }
    Ok(rows)
}

/// Calls over HTTP and gRPC.
async fn web_calls(gateway: SocketAddr, witness: &Witness) -> Result<Vec<Row>, String> {
    let tester = ("x-user", "tester");
    let answered = web::get(gateway, "localhost", Some(tester)).await?;
    let seen = next(witness, 1).await?.remove(0);
    let by_header = Row {
        expected: answered == Class::Ok && seen.cluster == "web-v2",
        note: format!("with {}: {}", tester.0, tester.1),
        seen,
    };
    let mut all_well = true;
    for _ in 0..SPLIT {
        all_well &= web::get(gateway, "localhost", None).await? == Class::Ok;
    }
    let mut rows = vec![by_header];
    rows.extend(by_cluster(next(witness, SPLIT).await?, all_well));
    let answered = web::chat(gateway).await?;
    let seen = next(witness, 1).await?.remove(0);
    rows.push(Row {
        expected: answered == Class::Ok && seen.outcome == Class::Ok && seen.cluster == "chat",
        note: format!("{} messages each way", web::MESSAGES),
        seen,
    });
    Ok(rows)
}

type Request = fn(crossdock_framework::frame::WireId, &Call<'_>) -> Vec<u8>;

/// One call that has to go to `cluster`.
async fn one<C: Codec>(
    caller: &mut Caller<C>,
    witness: &Witness,
    call: &Call<'_>,
    request: Request,
    cluster: &str,
) -> Result<Row, String> {
    let answered = caller.call(|id| request(id, call)).await?;
    let seen = next(witness, 1).await?.remove(0);
    let expected = answered == Class::Ok && seen.outcome == Class::Ok && seen.cluster == cluster;
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
async fn split<C: Codec>(
    caller: &mut Caller<C>,
    witness: &Witness,
    call: &Call<'_>,
    request: Request,
) -> Result<Vec<Row>, String> {
    let mut all_well = true;
    for _ in 0..SPLIT {
        all_well &= caller.call(|id| request(id, call)).await? == Class::Ok;
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
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..8)
        .map(|column| width(column).unwrap_or_default())
        .collect();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
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
