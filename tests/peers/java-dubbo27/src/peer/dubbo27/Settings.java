package peer.dubbo27;

import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.rpc.model.ApplicationModel;

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
        ApplicationModel.getConfigManager().setApplication(application);
        return application;
    }
}
