// SPDX-License-Identifier: Apache-2.0
// What the tests do inside the browser: functions by name, run by marionette.py in its own
// context. Each is given plain values and returns plain values.

const load = name => ChromeUtils.importESModule(name);
const { Weave } = load("resource://services-sync/main.sys.mjs");
const { UIState } = load("resource://services-sync/UIState.sys.mjs");
const { FormHistory } = load("resource://gre/modules/FormHistory.sys.mjs");
const { PlacesUtils } = load("resource://gre/modules/PlacesUtils.sys.mjs");
const { getFxAccountsSingleton } = load("resource://gre/modules/FxAccounts.sys.mjs");
const { setTimeout } = load("resource://gre/modules/Timer.sys.mjs");

const SCOPE = "https://identity.mozilla.com/apps/oldsync";
const TOKEN_SERVER = "identity.sync.tokenserver.uri";
const ENDS = ["weave:service:sync:finish", "weave:service:sync:error", "weave:service:login:error"];
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

// Until no sync is under way.
async function rest() {
  while (Weave.Service.locked) {
    await sleep(50);
  }
}

// A promise: the next sync has ended, well or not.
function nextEnd() {
  return new Promise(resolve => {
    const observer = (subject, topic) => {
      ENDS.forEach(end => Services.obs.removeObserver(observer, end));
      resolve(topic);
    };
    ENDS.forEach(end => Services.obs.addObserver(observer, end));
  });
}

// No sync begins by itself behind a change: a test says when.
function onlyAsked() {
  Weave.Service.scheduler.calculateScore = () => {};
}

function status() {
  const { service, sync, login, engines, enforceBackoff } = Weave.Status;
  return { service, sync, login, engines, enforceBackoff, ui: UIState.get().status };
}

// With the token in the browser's own cache, so that no account server is asked.
async function setUser({ uid, email, session, key, token }) {
  const expiresAt = Math.floor(Date.now() / 1000) + 86400;
  await getFxAccountsSingleton()._internal.setSignedInUser({
    uid, email, sessionToken: session, verified: true,
    oauthTokens: { [SCOPE]: { token, expiresAt } },
    scopedKeys: { [SCOPE]: { scope: SCOPE, kty: "oct", ...key } },
  });
}

// A login of the password manager.
function loginOf({ origin, username, password }) {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(origin, origin, null, username, password, "user", "pass");
  return login;
}

async function bookmarksBelow(guid) {
  const tree = await PlacesUtils.promiseBookmarksTree(guid);
  return (tree.children || []).filter(child => child.uri).map(child => child.uri);
}

const actions = {
  // A new profile is given the default bookmarks after the start of the browser, which replace
  // all that are there. Waits until that is done.
  async waitForDefaults() {
    const topic = "places-browser-init-complete";
    await new Promise(resolve => {
      const observer = () => {
        Services.obs.removeObserver(observer, topic);
        resolve();
      };
      Services.obs.addObserver(observer, topic);
      // where it was done before, the browser says so once more
      Cc["@mozilla.org/browser/browserglue;1"].getService(Ci.nsIObserver)
        .observe(null, "browser-glue-test", topic);
    });
  },

  // account: {uid, email, session, key: {kid, k}, token}. The first sync starts by itself; returns
  // its outcome.
  async signIn(account) {
    await Weave.Service.promiseInitialized;
    onlyAsked();
    await setUser(account);
    const end = nextEnd();
    await Weave.Service.configure();
    await end;
    await rest();
    return status();
  },

  // certificate: of an authority, in Base64.
  async trust(certificate) {
    const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
    database.addCertFromBase64(certificate, "C,,");
  },

  // One sync; returns its outcome.
  async sync() {
    await rest();
    await Weave.Service.sync({ why: "test" });
    await rest();
    return status();
  },

  // The same, whatever the server has said about when to come again.
  async syncNow() {
    await rest();
    Weave.Status.resetBackoff();
    return actions.sync();
  },

  // Starts a sync and does not wait for it: `rest` does.
  async startSync() {
    await rest();
    Weave.Service.sync({ why: "test" });
  },

  async rest() {
    await rest();
    return status();
  },

  async status() {
    return status();
  },

  async tokenServer() {
    return Services.prefs.getStringPref(TOKEN_SERVER);
  },

  async setTokenServer(url) {
    Services.prefs.setStringPref(TOKEN_SERVER, url);
  },

  // This sets the token server back to Mozilla's.
  async signOut() {
    await load("resource://services-sync/SyncDisconnect.sys.mjs").SyncDisconnect.disconnect(false);
  },

  // The URL of the storage.
  async endpoint() {
    return Weave.Service.clusterURL;
  },

  // The status of the answer.
  async getRecord(collection, id) {
    return (await Weave.Service.resource(`${Weave.Service.storageURL}${collection}/${id}`).get())
      .status;
  },

  // Gives the browser a token of the storage that lives for a second; with mayNotice false, it
  // takes it for one of an hour.
  async takeShortToken(mayNotice) {
    await rest();
    const url = Services.prefs.getStringPref(TOKEN_SERVER);
    Services.prefs.setStringPref(TOKEN_SERVER, url + "?duration=1");
    const token = await Weave.Service.identity._ensureValidToken(true);
    Services.prefs.setStringPref(TOKEN_SERVER, url);
    if (!mayNotice) {
      token.expiration = Date.now() + 3600 * 1000;
    }
  },

  // Has the browser ask for a token of the storage at the next sync.
  async dropToken() {
    await rest();
    Weave.Service.identity._token = null;
  },

  // When the browser will sync by itself, and before when it must not, in seconds from now;
  // 0: it has not planned to, or the server has not said anything.
  async planned() {
    const inSeconds = time => time && Math.max(1, Math.round((time - Date.now()) / 1000));
    return [Weave.Service.scheduler.nextSync, Weave.Status.minimumNextSync].map(inSeconds);
  },

  // Has the browser's own timer of that go off now, as if the time was over.
  async letTimePass() {
    Weave.Status.minimumNextSync = 0;
    Weave.Service.scheduler.syncTimer.delay = 1;
  },

  async clientId() {
    return Weave.Service.clientsEngine.localID;
  },

  async addBookmarks(urls) {
    const children = urls.map(url => ({ url, title: `Title of ${url}` }));
    const guid = PlacesUtils.bookmarks.toolbarGuid;
    return (await PlacesUtils.bookmarks.insertTree({ guid, children })).map(made => made.guid);
  },

  async removeBookmarks(urls) {
    for (const url of urls) {
      await PlacesUtils.bookmarks.remove((await PlacesUtils.bookmarks.fetch({ url })).guid);
    }
  },

  async bookmarks() {
    return bookmarksBelow(PlacesUtils.bookmarks.toolbarGuid);
  },

  async addVisits(urls) {
    const visits = [{ date: new Date(), transition: PlacesUtils.history.TRANSITIONS.LINK }];
    await PlacesUtils.history.insertMany(urls.map(url => ({ url, title: url, visits })));
  },

  async removeVisits(urls) {
    await PlacesUtils.history.remove(urls);
  },

  // Those of the urls that the history has.
  async visited(urls) {
    const found = [];
    for (const url of urls) {
      if (await PlacesUtils.history.hasVisits(url)) {
        found.push(url);
      }
    }
    return found;
  },

  async addLogin(login) {
    await Services.logins.addLoginAsync(loginOf(login));
  },

  async removeLogin(login) {
    const same = (await Services.logins.getAllLogins())
      .find(found => found.matches(loginOf(login), true));
    await Services.logins.removeLoginAsync(same);
  },

  // But for those of the browser itself.
  async logins() {
    return (await Services.logins.getAllLogins())
      .filter(login => login.origin.startsWith("http"))
      .map(({ origin, username, password }) => ({ origin, username, password }));
  },

  async addForm(fieldname, value) {
    await FormHistory.update({ op: "add", fieldname, value });
  },

  async forms(fieldname) {
    return (await FormHistory.search(["value"], { fieldname })).map(found => found.value);
  },

  async openTab(url) {
    const { gBrowser } = Services.wm.getMostRecentWindow("navigator:browser");
    const triggeringPrincipal = Services.scriptSecurityManager.getSystemPrincipal();
    const tab = gBrowser.addTab(url, { triggeringPrincipal });
    while (tab.linkedBrowser.currentURI.spec !== url) {
      await sleep(50);
    }
  },

  // What the other devices have open: the URLs.
  async remoteTabs() {
    // getAllClients() knows only devices that the account server lists, too
    const clients = await Weave.Service.engineManager.get("tabs")._rustStore.getAll();
    return clients.flatMap(client => client.remoteTabs.map(tab => tab.urlHistory[0]));
  },

  async quickWriteTabs() {
    return Weave.Service.engineManager.get("tabs").quickWrite();
  },
};
