package peer.dubbo;

import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.RegistryConfig;

/** What provider and consumer have in common: no registry, no QoS port, no files outside of the working directory. */
final class Settings {
    private Settings() {
    }

    static ApplicationConfig application(String name) {
        Logger.getLogger("").setLevel(Level.WARNING);
        ApplicationConfig application = new ApplicationConfig(name);
        application.setQosEnable(false);
        application.setDumpDirectory(System.getProperty("java.io.tmpdir"));
        application.setRegistry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
        Release.configure(application);
        return application;
    }
}
