import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.ToNumberPolicy;
import com.segment.analytics.kotlin.core.BaseEvent;
import com.segment.analytics.kotlin.core.Configuration;
import com.segment.analytics.kotlin.core.EventType;
import com.segment.analytics.kotlin.core.Settings;
import com.segment.analytics.kotlin.core.compat.ConfigurationBuilder;
import com.segment.analytics.messages.AliasMessage;
import com.segment.analytics.messages.GroupMessage;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.MessageBuilder;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.ScreenMessage;
import com.segment.analytics.messages.TrackMessage;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import kotlin.coroutines.EmptyCoroutineContext;
import kotlin.jvm.JvmClassMappingKt;
import kotlin.jvm.functions.Function1;
import kotlinx.coroutines.BuildersKt;
import kotlinx.serialization.json.Json;
import kotlinx.serialization.json.JsonObject;

/**
 * Drives analytics-java and analytics-kotlin through their public calls.
 *
 * <p>stdin, JSON lines: first {"sdk": "java" or "kotlin", "host", "key", "options"}, then one call
 * a line; its end flushes and closes. stdout: {"problems": [...]}. Dates are {"$date": ISO} and
 * {"$day": ISO}.
 */
public final class Drive {
  private static final Gson GSON =
      new GsonBuilder()
          .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
          .serializeNulls()
          .create();
  private static final List<String> PROBLEMS = Collections.synchronizedList(new ArrayList<>());

  private static final long END_NS = TimeUnit.SECONDS.toNanos(100); // less than the tests wait

  private interface Client {
    void call(String type, Map<String, Object> message) throws Exception;

    void close() throws Exception;
  }

  public static void main(String[] arguments) {
    PrintStream answers = System.out;
    System.setOut(System.err); // the SDKs print there
    try {
      drive(answers);
      System.exit(0);
    } catch (Throwable problem) { // the SDKs' threads would keep the process alive
      problem.printStackTrace();
      System.exit(1);
    }
  }

  private static void drive(PrintStream answers) throws Exception {
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Map<String, Object> begin = read(lines.readLine());
    boolean kotlin = begin.get("sdk").equals("kotlin");
    Client client = kotlin ? new Kotlin(begin) : new Java(begin);
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Map<String, Object> message = read(line);
      client.call((String) message.remove("type"), message);
    }
    client.close();
    answers.println(GSON.toJson(Map.of("problems", PROBLEMS)));
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> read(String line) {
    return GSON.fromJson(line, Map.class);
  }

  /** A value with its dates as the language's own type. */
  private static Object revived(Object value) {
    if (value instanceof List<?> list) {
      List<Object> items = new ArrayList<>();
      list.forEach(item -> items.add(revived(item)));
      return items;
    }
    if (!(value instanceof Map<?, ?> map)) {
      return value;
    }
    if (map.get("$date") instanceof String text) {
      return Date.from(java.time.OffsetDateTime.parse(text).toInstant());
    }
    if (map.get("$day") instanceof String text) {
      return Date.from(LocalDate.parse(text).atStartOfDay(ZoneOffset.UTC).toInstant());
    }
    Map<String, Object> items = new LinkedHashMap<>();
    map.forEach((key, item) -> items.put((String) key, revived(item)));
    return items;
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> map(Map<String, Object> message, String name) {
    return (Map<String, Object>) revived(message.getOrDefault(name, Map.of()));
  }

  private static final class Java implements Client {
    private final com.segment.analytics.Analytics analytics;
    private int open = 0;

    Java(Map<String, Object> begin) {
      Map<String, Object> options = map(begin, "options");
      com.segment.analytics.Callback callback =
          new com.segment.analytics.Callback() {
            @Override
            public void success(Message message) {
              finished();
            }

            @Override
            public void failure(Message message, Throwable problem) {
              PROBLEMS.add(String.valueOf(problem));
              finished();
            }
          };
      analytics =
          com.segment.analytics.Analytics.builder((String) begin.get("key"))
              .endpoint((String) begin.get("host"))
              .flushInterval((Long) options.get("flushIntervalMs"), TimeUnit.MILLISECONDS)
              .callback(callback)
              .build();
    }

    private synchronized void finished() {
      open--;
      notifyAll();
    }

    @Override
    public void call(String type, Map<String, Object> message) {
      MessageBuilder<?, ?> builder = builder(type, message);
      map(message, "integrations")
          .forEach((name, wanted) -> builder.enableIntegration(name, (Boolean) wanted));
      if (message.containsKey("context")) {
        builder.context(map(message, "context"));
      }
      if (message.containsKey("userId")) {
        builder.userId((String) message.get("userId"));
      }
      if (message.containsKey("anonymousId")) {
        builder.anonymousId((String) message.get("anonymousId"));
      }
      if (message.containsKey("timestamp")) {
        builder.timestamp((Date) revived(message.get("timestamp")));
      }
      if (message.containsKey("messageId")) {
        builder.messageId((String) message.get("messageId"));
      }
      synchronized (this) {
        open++;
      }
      analytics.enqueue(builder);
    }

    private static MessageBuilder<?, ?> builder(String type, Map<String, Object> message) {
      Map<String, Object> traits = map(message, "traits");
      Map<String, Object> properties = map(message, "properties");
      String name = (String) message.get("name");
      return switch (type) {
        case "identify" -> IdentifyMessage.builder().traits(traits);
        case "track" -> TrackMessage.builder((String) message.get("event")).properties(properties);
        case "page" -> PageMessage.builder(name).properties(properties);
        case "screen" -> ScreenMessage.builder(name).properties(properties);
        case "group" -> GroupMessage.builder((String) message.get("groupId")).traits(traits);
        default -> AliasMessage.builder((String) message.get("previousId"));
      };
    }

    @Override
    public void close() throws Exception {
      analytics.flush();
      synchronized (this) {
        while (open > 0) {
          wait();
        }
      }
      analytics.shutdown();
    }
  }

  private static final class Kotlin implements Client {
    private final com.segment.analytics.kotlin.core.Analytics analytics;
    private final AtomicInteger open = new AtomicInteger();

    Kotlin(Map<String, Object> begin) throws Exception {
      Map<String, Object> options = map(begin, "options");
      String host = ((String) begin.get("host")).replace("https://", "") + "/v1";
      Configuration configuration =
          new ConfigurationBuilder((String) begin.get("key"))
              .setApplication("tests")
              .setApiHost(host)
              .setCdnHost(host)
              .setFlushInterval(((Long) options.get("flushIntervalS")).intValue())
              .setTrackApplicationLifecycleEvents(false)
              .build();
      // Without these it sends to its vendor until it has once been answered its settings.
      Map<String, Object> target = Map.of("apiKey", begin.get("key"), "apiHost", host);
      Map<String, Object> defaults = Map.of("integrations", Map.of("Segment.io", target));
      JsonObject none = json(Map.of(), "none");
      configuration.setDefaultSettings(
          new Settings(json(defaults, "integrations"), none, none, none, none, none, none));
      analytics = new com.segment.analytics.kotlin.core.Analytics(configuration);
      awaitStart();
    }

    /**
     * Until it runs, it holds calls in a queue; one that enters the queue in the very moment it
     * starts stays there for ever.
     */
    private void awaitStart() throws Exception {
      for (int tries = 0; tries < 3_000 && !running(); tries++) {
        TimeUnit.MILLISECONDS.sleep(10);
      }
      TimeUnit.MILLISECONDS.sleep(300); // the queue hears of it a little later
    }

    private boolean running() throws Exception {
      var state =
          JvmClassMappingKt.getKotlinClass(com.segment.analytics.kotlin.core.System.class);
      com.segment.analytics.kotlin.core.System now =
          BuildersKt.runBlocking(
              EmptyCoroutineContext.INSTANCE,
              (scope, done) -> analytics.getStore().currentState(state, done));
      return now != null && now.getRunning();
    }

    /** Dates are text in kotlinx' JSON: an Instant's. */
    private static Object worded(Object value) {
      if (value instanceof Date date) {
        return date.toInstant().toString();
      }
      if (value instanceof List<?> list) {
        List<Object> items = new ArrayList<>();
        list.forEach(item -> items.add(worded(item)));
        return items;
      }
      if (!(value instanceof Map<?, ?> map)) {
        return value;
      }
      Map<String, Object> items = new HashMap<>();
      map.forEach((key, item) -> items.put((String) key, worded(item)));
      return items;
    }

    private static JsonObject json(Map<String, Object> message, String name) {
      String text = GSON.toJson(worded(map(message, name)));
      return (JsonObject) Json.Default.parseToJsonElement(text);
    }

    @Override
    public void call(String type, Map<String, Object> message) throws Exception {
      open.incrementAndGet();
      Function1<BaseEvent, BaseEvent> enriched = event -> enrich(event, message);
      String user = (String) message.get("userId");
      JsonObject traits = json(message, "traits");
      JsonObject properties = json(message, "properties");
      if (user == null) { // calls and resets take effect later, and an alias reads who was before
        for (int tries = 0; tries < 500 && open.get() > 1; tries++) {
          TimeUnit.MILLISECONDS.sleep(10);
        }
        analytics.reset();
        for (int tries = 0; tries < 500 && analytics.userId() != null; tries++) {
          TimeUnit.MILLISECONDS.sleep(10);
        }
      }
      switch (type) {
        case "identify" -> {
          if (user == null) {
            analytics.identify(traits, enriched);
          } else {
            analytics.identify(user, traits, enriched);
          }
        }
        case "track" -> analytics.track((String) message.get("event"), properties, enriched);
        case "screen" ->
            analytics.screen(
                (String) message.get("name"), properties, (String) message.getOrDefault("category", ""), enriched);
        case "group" -> analytics.group((String) message.get("groupId"), traits, enriched);
        default -> {
          // An identify without a user may have taken effect only after the reset behind it: its
          // user is "", and so would be who the alias says was before, which no gateway takes.
          for (int tries = 0; tries < 500 && open.get() > 1; tries++) {
            TimeUnit.MILLISECONDS.sleep(10);
          }
          TimeUnit.MILLISECONDS.sleep(300);
          for (int tries = 0; tries < 500 && "".equals(analytics.userId()); tries++) {
            analytics.reset();
            TimeUnit.MILLISECONDS.sleep(20);
          }
          analytics.alias(user, enriched);
        }
      }
    }

    /** Its calls take what belongs to one event alone in this closure. */
    private BaseEvent enrich(BaseEvent event, Map<String, Object> message) {
      Map<String, kotlinx.serialization.json.JsonElement> context =
          new HashMap<>(event.getContext());
      context.putAll(json(message, "context"));
      event.setContext(new JsonObject(context));
      if (message.containsKey("integrations")) {
        event.setIntegrations(json(message, "integrations"));
      }
      if (message.containsKey("anonymousId")) {
        event.setAnonymousId((String) message.get("anonymousId"));
      }
      if (event.getType() != EventType.Alias) { // events behind a reset still see the old person
        event.setUserId((String) message.getOrDefault("userId", ""));
      }
      if (revived(message.get("timestamp")) instanceof Date at) {
        event.setTimestamp(at.toInstant().toString());
      }
      open.decrementAndGet();
      return event;
    }

    @Override
    public void close() throws Exception {
      long started = System.nanoTime();
      for (int quiet = 0; quiet < 3; quiet++) {
        analytics.flush();
        TimeUnit.MILLISECONDS.sleep(300);
        List<String> files = analytics.pendingUploads();
        if (open.get() > 0 || files.stream().anyMatch(file -> !file.isBlank())) {
          quiet = 0;
        }
        if (System.nanoTime() - started > END_NS) {
          throw new IllegalStateException("calls not made: " + open + ", not sent: " + files);
        }
      }
      analytics.shutdown();
    }
  }
}
