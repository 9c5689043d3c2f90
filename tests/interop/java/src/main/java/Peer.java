// SPDX-License-Identifier: Apache-2.0

import com.godaddy.asherah.appencryption.Session;
import com.godaddy.asherah.appencryption.SessionFactory;
import com.godaddy.asherah.appencryption.persistence.DynamoDbMetastoreImpl;
import com.godaddy.asherah.appencryption.persistence.InMemoryMetastoreImpl;
import com.godaddy.asherah.appencryption.persistence.JdbcMetastoreImpl;
import com.godaddy.asherah.appencryption.persistence.Metastore;
import com.godaddy.asherah.crypto.BasicExpiringCryptoPolicy;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.time.Instant;
import java.util.Base64;
import java.util.Optional;
import org.json.JSONArray;
import org.json.JSONObject;
import org.mariadb.jdbc.MariaDbDataSource;

/**
 * The Java peer of the interop test: encrypts or decrypts a list of cases with the published Java SDK.
 * The protocol is described in ../README.md.
 */
public final class Peer {
  /** The SDK's store in memory, with a list of its rows so that they can be written out again. */
  private static final class DumpingMetastore implements Metastore<JSONObject> {
    private final InMemoryMetastoreImpl<JSONObject> inner = new InMemoryMetastoreImpl<>();
    private final JSONArray rows = new JSONArray();
    private final String suffix;

    DumpingMetastore(final Path file, final String suffix) throws IOException {
      this.suffix = suffix;
      JSONArray stored = new JSONArray(Files.readString(file));
      for (int i = 0; i < stored.length(); i++) {
        JSONObject row = stored.getJSONObject(i);
        Instant created = Instant.ofEpochSecond(row.getLong("created"));
        store(row.getString("id"), created, new JSONObject(row.getString("key_record")));
      }
    }

    void save(final Path file) throws IOException {
      Files.writeString(file, rows.toString());
    }

    @Override
    public Optional<JSONObject> load(final String keyId, final Instant created) {
      return inner.load(keyId, created);
    }

    @Override
    public Optional<JSONObject> loadLatest(final String keyId) {
      return inner.loadLatest(keyId);
    }

    @Override
    public boolean store(final String keyId, final Instant created, final JSONObject value) {
      boolean stored = inner.store(keyId, created, value);
      if (stored) {
        rows.put(new JSONObject()
            .put("id", keyId)
            .put("created", created.getEpochSecond())
            .put("key_record", value.toString()));
      }
      return stored;
    }

    @Override
    public String getKeySuffix() {
      return suffix;
    }
  }

  private Peer() {
  }

  private static JSONObject perform(final SessionFactory factory, final String operation, final JSONObject request) {
    try (Session<byte[], byte[]> session = factory.getSessionBytes(request.getString("partition"))) {
      if (operation.equals("encrypt")) {
        byte[] drr = session.encrypt(Base64.getDecoder().decode(request.getString("payload_b64")));
        return new JSONObject().put("drr", new String(drr, StandardCharsets.UTF_8));
      }
      byte[] plain = session.decrypt(request.getString("drr").getBytes(StandardCharsets.UTF_8));
      return new JSONObject().put("payload_b64", Base64.getEncoder().encodeToString(plain));
    } catch (RuntimeException e) {
      return new JSONObject().put("error", e.toString());
    }
  }

  private static Metastore<JSONObject> openMariaDb(final URI url) throws SQLException {
    MariaDbDataSource source = new MariaDbDataSource();
    source.setUrl("jdbc:mariadb://" + url.getAuthority().replaceFirst("^.*@", "") + url.getPath());
    source.setUser(url.getUserInfo().replaceFirst(":.*$", ""));
    source.setPassword(url.getUserInfo().replaceFirst("^[^:]*:", ""));
    return JdbcMetastoreImpl.newBuilder(source).build();
  }

  private static Metastore<JSONObject> openStore(final JSONObject setup) throws IOException, SQLException {
    String store = setup.getString("store");
    if (store.startsWith("mysql://")) {
      return openMariaDb(URI.create(store));
    }
    if (store.startsWith("dynamodb://")) {
      String region = System.getenv("AWS_REGION");
      String endpoint = "http://" + URI.create(store).getAuthority();
      return DynamoDbMetastoreImpl.newBuilder(region).withEndPointConfiguration(endpoint, region).build();
    }
    return new DumpingMetastore(Path.of(store), setup.optString("suffix", ""));
  }

  private static SessionFactory newFactory(final JSONObject setup, final Metastore<JSONObject> store) {
    return SessionFactory.newBuilder(setup.getString("product"), setup.getString("service"))
        .withMetastore(store)
        .withCryptoPolicy(BasicExpiringCryptoPolicy.newBuilder()
            .withKeyExpirationDays(30)
            .withRevokeCheckMinutes(60)
            .build())
        .withStaticKeyManagementService(setup.getString("master_key"))
        .build();
  }

  public static void main(final String[] args) throws IOException, SQLException {
    if (args.length != 1 || !(args[0].equals("encrypt") || args[0].equals("decrypt"))) {
      System.err.println("usage: Peer encrypt|decrypt");
      System.exit(2);
    }
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    JSONObject setup = new JSONObject(in.readLine());
    Metastore<JSONObject> store = openStore(setup);
    try (SessionFactory factory = newFactory(setup, store)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        out.println(perform(factory, args[0], new JSONObject(line)));
      }
    }
    out.flush();
    if (store instanceof DumpingMetastore) {
      ((DumpingMetastore) store).save(Path.of(setup.getString("store")));
    }
  }
}
