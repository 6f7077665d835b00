//! Components that are dear to compile or to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::bombs::{Shape, bomb, core, many, nested, never_seen};
use understudy_tests::guests;
use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, Run, by_shell, kill};
use understudy_tests::provider::{Provider, respond};
use understudy_tests::session::{Session, sampling};

/// What memory of the proxy may have grown by: far less than a compiler takes for any of these.
const SLACK: usize = 64 << 20;

/// A config with one plugin, `p`.
fn config(place: &Place, component: &Path, limits: &Value) -> PathBuf {
    let plugin = json!({ "component": component, "endpoint": "http://127.0.0.1:9", "limits": limits });
    let config = json!({ "mcpServers": { "cat": { "command": "cat" } }, "sampling": "p", "plugins": { "p": plugin } });
    place.file("understudy.json", config.to_string())
}

/// Looks at a component with a verb of `plugin`.
fn inspect(place: &Place, verb: &[&str], component: &[u8], limits: &Value) -> Run {
    let file = place.file("bomb.wasm", component);
    let config = config(place, &file, limits);
    place.run(["--config", &config.to_string_lossy()].iter().chain(verb))
}

/// Limits that are met soon.
fn small() -> Value {
    json!({ "compile": { "time": "30 s", "cpu": "3 s", "memory": "512 MiB" } })
}

#[test]
fn a_component_that_is_dear_to_compile_is_refused_and_the_error_names_it_and_the_limit() {
    let place = Place::new();
    for (shape, depth, width) in Shape::ALL {
        let run = inspect(&place, &["plugin", "inspect", "p"], &bomb(shape, depth, width), &small());
        assert_eq!(run.code(), 1, "{shape:?}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.contains("`p` is too complex to be compiled, which `limits.compile`"),
            "{shape:?}: {}",
            run.stderr
        );
    }
    let run = inspect(&place, &["plugin", "inspect", "p"], &nested(Shape::LocalsOfLoops, 300, 300), &small());
    assert!(run.stderr.contains("`limits.compile`"), "{}", run.stderr);
}

#[test]
fn every_verb_that_reads_a_component_is_bounded() {
    let place = Place::new();
    let bombs = [bomb(Shape::LocalsOfLoops, 700, 700), many(40)];
    for bomb in bombs {
        for verb in [
            ["plugin", "inspect", "p"].as_slice(),
            &["plugin", "check", "p"],
            &["plugin", "compile", "p"],
            &["plugin", "list"],
            &["plugin", "models"],
            &["doctor"],
            &["sample"],
            &["proxy", "--server", "cat"],
        ] {
            let run = inspect(&place, verb, &bomb, &small());
            assert_eq!(run.code(), 1, "{verb:?}: {}{}", run.stdout, run.stderr);
            assert!(
                format!("{}{}", run.stdout, run.stderr).contains("`limits.compile"),
                "{verb:?}: {}{}",
                run.stdout,
                run.stderr
            );
        }
        assert!(!place.path().join("bomb.cwasm").exists());
    }
}

#[test]
fn what_is_let_pass_is_compiled_within_limits_of_cpu_time_time_and_memory() {
    let place = Place::new();
    let honest = guests::write("faulty", place.path());
    let honest = never_seen(&fs::read(honest).unwrap_or_default());
    let limit = |component: &[u8], key: &str, most: &str| {
        let mut limits = small();
        limits["compile"][key] = json!(most);
        inspect(&place, &["plugin", "inspect", "p"], component, &limits).stderr
    };
    let said = |limit: &str| {
        format!(
            "`p` is not loaded: compiling it took more than {limit}; raise that only for a component that you trust"
        )
    };
    let stderr = limit(&honest, "time", "1 ms");
    assert!(stderr.contains(&said("1ms (`limits.compile.time`)")), "{stderr}");
    let stderr = limit(&honest, "memory", "12 MiB");
    assert!(
        stderr.contains(&said("12582912 bytes of memory (`limits.compile.memory`), or than the machine has")),
        "{stderr}"
    );
    let stderr = limit(&many(40), "cpu", "1 s");
    assert!(stderr.contains(&said("1s of CPU time (`limits.compile.cpu`)")), "{stderr}");
    let _ = inspect(&place, &["plugin", "inspect", "p"], &honest, &json!({})).ok();
}

#[test]
fn a_core_module_that_is_dear_to_compile_is_refused_as_one_and_never_compiled() {
    let place = Place::new();
    let module = core(Shape::LocalsOfLoops, 700, 700);
    let run = inspect(&place, &["plugin", "inspect", "p"], &module, &json!({}));
    assert!(run.stderr.contains("it is a core module"), "{}", run.stderr);
    let file = place.file("core.wasm", &module);
    let wit = workspace().join("wit");
    let run = place.run(["plugin", "componentize", &file.to_string_lossy(), "--wit", &wit.to_string_lossy()]);
    assert_eq!(run.code(), 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("core.wasm"), "{}", run.stderr);
}

/// The compilers that a process has started.
fn compilers(parent: u32) -> Vec<u32> {
    let number = |entry: fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().ok();
    let processes = fs::read_dir("/proc").unwrap_or_else(|e| panic!("{e}")).filter_map(|entry| number(entry.ok()?));
    let is_one = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent_of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        parent_of == Some(parent) && String::from_utf8_lossy(&arguments).contains("--compile-for-parent")
    };
    processes.filter(is_one).collect()
}

/// Waits until this is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Limits that a bomb doesn't meet while anybody waits.
fn large() -> Value {
    json!({ "compile": { "time": "1 h", "cpu": "1 h", "memory": "8 GiB" } })
}

#[cfg(target_os = "linux")]
#[test]
fn the_compiler_has_no_secret_and_ends_with_who_waits_for_it() {
    let place = Place::new();
    let file = place.file("bomb.wasm", many(40));
    let config = config(&place, &file, &large());
    let mut command = place.understudy(["--config", &config.to_string_lossy(), "plugin", "inspect", "p"]);
    command.env("ANTHROPIC_API_KEY", "sk-secret").stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = command.spawn().unwrap_or_else(|e| panic!("{e}"));
    until("no compiler was started", || !compilers(parent.id()).is_empty());
    let id = compilers(parent.id())[0];
    // Until it has begun, it is still what started it.
    until("it isn't limited", || limit(id, "Max data size") == Some(8 << 30));
    // A setting of the allocator's, and nothing else.
    let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&environment), "MIMALLOC_ARENA_EAGER_COMMIT=0\0");
    // It opens some of its own now and then, but never for long.
    until("it has inherited files", || open_files(id) == ["0", "1", "2"]);
    assert_eq!(limit(id, "Max cpu time"), Some(3600));
    kill(parent.id());
    let _ = parent.wait();
    until("the compiler goes on", || !Path::new(&format!("/proc/{id}")).exists());
}

/// The descriptors that a process has.
fn open_files(id: u32) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{id}/fd")).unwrap_or_else(|e| panic!("{e}"));
    let mut names: Vec<_> = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// A limit of a process.
fn limit(id: u32, name: &str) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).ok()?;
    limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// A proxy in front of `cat`, whose plugin can be replaced and whose log can be read.
struct Proxy {
    place: Place,
    log: PathBuf,
    session: Session,
    asked: u64,
}

impl Proxy {
    fn start(limits: &Value) -> Self {
        let place = Place::new();
        let provider = Provider::start(|request, stream, _| {
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let answer = json!({ "text": asked["version"] }).to_string();
            respond(stream, "200 OK", "content-type: application/json\r\n", answer.as_bytes());
        });
        let file = place.file("plugin.wasm", guests::planted("version 1"));
        let plugin = json!({ "component": file, "endpoint": provider.url, "limits": limits });
        let config = json!({ "mcpServers": { "cat": { "command": "cat" } }, "sampling": { "use": "p", "requestsPerCall": u32::MAX }, "plugins": { "p": plugin } });
        let config = place.file("understudy.json", config.to_string());
        let log = place.file("log", "");
        let understudy = place.understudy(["--config", &config.to_string_lossy(), "proxy", "--server", "cat"]);
        let command = by_shell(&format!("exec \"$0\" \"$@\" 2>>'{}'", log.display()), &understudy);
        let session = Session::run(command, &[]);
        Self { place, log, session, asked: 0 }
    }

    /// Puts a component in the place of the plugin's.
    fn replace(&self, component: &[u8]) {
        let beside = self.place.file("plugin.wasm.new", component);
        fs::rename(beside, self.place.path().join("plugin.wasm")).unwrap_or_else(|e| panic!("{e}"));
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Which version answers; and that one does.
    fn ask(&mut self) -> String {
        self.asked += 1;
        self.session.say(&sampling(self.asked, "who are you?"));
        let answer = self.session.hear();
        let text = answer["result"]["content"]["text"].as_str();
        text.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The most memory that it ever had.
    fn peak(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.session.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        line.and_then(|number| number.parse::<usize>().ok()).unwrap_or_default() * 1024
    }
}

#[test]
fn a_hot_reload_of_what_is_dear_to_compile_costs_the_running_proxy_nothing() {
    for (component, why) in [
        (bomb(Shape::LocalsOfLoops, 3_000, 600), "too complex"),
        (bomb(Shape::ParametersOfLoops, 700, 700), "too complex"),
        (many(40), "(`limits.compile.cpu`)"),
    ] {
        let mut proxy = Proxy::start(&small());
        for _ in 0..20 {
            assert_eq!(proxy.ask(), "version 1");
        }
        let before = proxy.peak();
        proxy.replace(&component);
        until("it isn't refused", || {
            assert_eq!(proxy.ask(), "version 1");
            proxy.log().contains(why)
        });
        let log = proxy.log();
        assert!(log.contains("the configuration before it stays in use") && log.contains("`limits.compile"), "{log}");
        assert!(proxy.peak() < before + SLACK, "{before} bytes became {}", proxy.peak());
        proxy.replace(&guests::planted("version 2"));
        until("the next version is not taken up", || proxy.ask() == "version 2");
    }
}

#[test]
fn a_later_version_does_not_wait_for_one_that_is_dear_to_compile() {
    let mut proxy = Proxy::start(&large());
    assert_eq!(proxy.ask(), "version 1");
    let id = proxy.session.id();
    for version in ["version 2", "version 3"] {
        proxy.replace(&never_seen(&many(40)));
        until("no compiler was started", || !compilers(id).is_empty());
        proxy.replace(&never_seen(&guests::planted(version)));
        until("the later version is not taken up", || proxy.ask() == version);
        until("the compiler goes on", || compilers(id).is_empty());
    }
}

/// The CPU time of a process so far, the kernel's for it included.
fn cpu_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11).take(2).map(str::parse::<u64>));
    let ticks: u64 = fields.into_iter().flatten().filter_map(Result::ok).sum();
    Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

#[test]
fn bulk_operations_and_calls_of_the_host_s_count_as_cpu_time() {
    const MOST: Duration = Duration::from_millis(500);
    let place = Place::new();
    let file = guests::write("faulty", place.path());
    let config = config(&place, &file, &json!({ "cpu": "500 ms", "deadline": "1 min" }));
    let mut session = Session::start(&place, &["--config", &config.to_string_lossy()], &["cat"]);
    for (id, fault) in ["loop", "fill memory", "copy memory", "random bytes"].into_iter().enumerate() {
        let before = cpu_time(session.id());
        session.say(&sampling(id, fault));
        let answer = session.hear();
        let spent = cpu_time(session.id()).checked_sub(before).unwrap();
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("500ms of CPU time (`limits.cpu`)"), "{fault}: {answer}");
        assert!(spent < MOST * 2, "{fault}: {spent:?}");
    }
}
